/* What Pusher's protocol wants of a client that subscribes. */
#ifndef PUSHER_H
#define PUSHER_H

#include <stdbool.h>
#include <stddef.h>

enum { PUSHER_ID = 64, PUSHER_MESSAGE = 1024 };

/* Finds the socket id in the text of pusher:connection_established. */
bool pusher_socket_id(const unsigned char *text, size_t size, char out[PUSHER_ID]);

/* Writes a message that subscribes client `number`, signed where the channel's kind demands it.
 * With a pattern such as "name/100", it is one channel for each hundred clients. */
void pusher_subscribe(char out[PUSHER_MESSAGE], const char *key, const char *secret,
                      const char *socket_id, const char *pattern, int number);

#endif
