/* The command line; what it means is told at the head of load.c. */
#ifndef OPTIONS_H
#define OPTIONS_H

typedef struct {
    const char *host, *port, *path, *key, *secret;
    char **channels;
    int channel_count, sockets, stalled, inflight;
    double patience; /* seconds until all must be subscribed */
} options;

/* Ends the program if it does not understand. */
options parse_options(int count, char **words);

#endif
