/* HMAC-SHA256 (RFC 2104, FIPS 180-4), for the signatures of private and presence channels. */
#ifndef HMAC_H
#define HMAC_H

#include <stddef.h>

enum { HMAC_HEX = 64 };

/* Writes the signature of `text` under `key` as hexadecimal digits and a closing zero. */
void hmac_hex(const char *key, const char *text, char out[HMAC_HEX + 1]);

#endif
