// soketi, with one change in its favour: it ends every answer with "Connection: close", which
// would make this a benchmark of opening connections.

const { HttpHandler } = require("@soketi/soketi/dist/http-handler");

HttpHandler.prototype.sendJson = function (res, data, status = "200 OK") {
  return res
    .writeStatus(status)
    .writeHeader("Content-Type", "application/json")
    .end(JSON.stringify(data));
};

require("@soketi/soketi/dist/cli");
