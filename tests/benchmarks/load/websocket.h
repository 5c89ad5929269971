/* As much of RFC 6455 as a client of short text messages needs. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>

enum { WEBSOCKET_TEXT = 1, WEBSOCKET_CLOSE = 8, WEBSOCKET_PING = 9, WEBSOCKET_PONG = 10 };
enum { WEBSOCKET_KEY = 24 };

typedef struct {
    int opcode;
    const unsigned char *payload;
    size_t size;
    size_t whole; /* with its head */
} websocket_frame;

/* Writes a random Sec-WebSocket-Key and a closing zero. */
void websocket_key(char out[WEBSOCKET_KEY + 1]);

/* Sends one frame of less than 64 KiB under a random mask; false if it could not be written. */
bool websocket_send(int fd, int opcode, const char *payload, size_t size);

/* Finds the first frame in `data`; false while it has not come whole. */
bool websocket_next(const unsigned char *data, size_t size, websocket_frame *out);

#endif
