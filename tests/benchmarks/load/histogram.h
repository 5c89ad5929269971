/* Latencies in microseconds, counted in buckets that are at most 1/64 of their value wide. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

/* Up to 128 each value has a bucket; then each power of two has 64 of them. */
enum { HISTOGRAM_BUCKETS = 128 + 57 * 64 };

typedef struct {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t most;
} histogram;

static inline int histogram_bucket(uint64_t value) {
    if (value < 128) return (int)value;
    int shift = 57 - __builtin_clzll(value);
    return shift * 64 + (int)(value >> shift);
}

/* The greatest value that the bucket holds, so that no percentile is told too low. */
static inline uint64_t histogram_top(int bucket) {
    if (bucket < 128) return (uint64_t)bucket;
    int shift = bucket / 64 - 1;
    return ((uint64_t)(bucket % 64 + 65) << shift) - 1;
}

static inline void histogram_add(histogram *all, uint64_t value) {
    all->counts[histogram_bucket(value)]++;
    if (value > all->most) all->most = value;
}

#endif
