// soketi as it ships, or with KEEP_ALIVE=1 without the "Connection: close" that it ends every
// answer with.

const { HttpHandler } = require("@soketi/soketi/dist/http-handler");

if (process.env.KEEP_ALIVE) {
  HttpHandler.prototype.sendJson = function (res, data, status = "200 OK") {
    return res
      .writeStatus(status)
      .writeHeader("Content-Type", "application/json")
      .end(JSON.stringify(data));
  };
}

require("@soketi/soketi/dist/cli");
