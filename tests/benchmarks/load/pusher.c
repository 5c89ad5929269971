#define _GNU_SOURCE
#include "pusher.h"

#include "hmac.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The id stands in a string of JSON within JSON: ...socket_id\":\"1.2\"... */
bool pusher_socket_id(const unsigned char *text, size_t size, char out[PUSHER_ID]) {
    const char *end = (const char *)text + size;
    const char *at = memmem(text, size, "socket_id", 9);
    if (!at) return false;
    at += 9;
    while (at < end && (*at < '0' || *at > '9')) at++;
    size_t length = 0;
    while (at + length < end && length < PUSHER_ID - 1 && strchr("0123456789.", at[length]))
        length++;
    memcpy(out, at, length);
    out[length] = 0;
    return length > 0;
}

static void name_channel(const char *pattern, int number, char out[256]) {
    const char *slash = strchr(pattern, '/');
    int size = slash ? atoi(slash + 1) : 0;
    if (size > 0)
        snprintf(out, 256, "%.*s.%d", (int)(slash - pattern), pattern, number / size);
    else
        snprintf(out, 256, "%s", pattern);
}

void pusher_subscribe(char out[PUSHER_MESSAGE], const char *key, const char *secret,
                      const char *socket_id, const char *pattern, int number) {
    char channel[256], member[64] = "", escaped[128] = "", auth[256] = "";
    char text[512], signature[HMAC_HEX + 1];
    name_channel(pattern, number, channel);
    if (strncmp(channel, "presence-", 9) == 0) {
        snprintf(member, sizeof member, ":{\"user_id\":\"%d\"}", number);
        snprintf(escaped, sizeof escaped, ",\"channel_data\":\"{\\\"user_id\\\":\\\"%d\\\"}\"",
                 number);
    }
    if (*member || strncmp(channel, "private-", 8) == 0) {
        snprintf(text, sizeof text, "%s:%s%s", socket_id, channel, member);
        hmac_hex(secret, text, signature);
        snprintf(auth, sizeof auth, ",\"auth\":\"%.100s:%s\"", key, signature);
    }
    snprintf(out, PUSHER_MESSAGE,
             "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\"%s%s}}", channel, auth,
             escaped);
}
