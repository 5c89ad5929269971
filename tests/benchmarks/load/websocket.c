#define _GNU_SOURCE
#include "websocket.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* A call of the kernel for each mask would cost more than the frame. */
static const unsigned char *random_bytes(size_t count) {
    static unsigned char pool[4096];
    static size_t used = sizeof pool;
    if (used + count > sizeof pool) {
        while (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool) continue;
        used = 0;
    }
    used += count;
    return pool + used - count;
}

void websocket_key(char out[WEBSOCKET_KEY + 1]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = random_bytes(16);
    for (int i = 0; i < 5; i++) {
        uint32_t three =
            (uint32_t)bytes[3 * i] << 16 | (uint32_t)bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
        for (int j = 0; j < 4; j++) out[4 * i + j] = digits[three >> (18 - 6 * j) & 63];
    }
    out[20] = digits[bytes[15] >> 2];
    out[21] = digits[(bytes[15] & 3) << 4];
    memcpy(out + 22, "==", 3);
}

bool websocket_send(int fd, int opcode, const char *payload, size_t size) {
    unsigned char frame[8 + 65536];
    const unsigned char *mask = random_bytes(4);
    size_t head = 2;
    if (size > 65535) return false;
    frame[0] = (unsigned char)(0x80 | opcode);
    if (size < 126) {
        frame[1] = (unsigned char)(0x80 | size);
    } else {
        frame[1] = 0x80 | 126;
        frame[2] = (unsigned char)(size >> 8);
        frame[3] = (unsigned char)size;
        head = 4;
    }
    memcpy(frame + head, mask, 4);
    head += 4;
    for (size_t i = 0; i < size; i++)
        frame[head + i] = (unsigned char)((unsigned char)payload[i] ^ mask[i % 4]);
    return write(fd, frame, head + size) == (ssize_t)(head + size);
}

bool websocket_next(const unsigned char *data, size_t size, websocket_frame *out) {
    size_t head = 2;
    uint64_t length;
    if (size < head) return false;
    length = data[1] & 127;
    if (length >= 126) {
        size_t more = length == 126 ? 2 : 8;
        head += more;
        if (size < head) return false;
        length = 0;
        for (size_t i = 2; i < head; i++) length = length << 8 | data[i];
    }
    if (size - head < length) return false;
    *out = (websocket_frame){
        .opcode = data[0] & 15,
        .payload = data + head,
        .size = (size_t)length,
        .whole = head + (size_t)length,
    };
    return true;
}
