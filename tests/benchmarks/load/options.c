#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

options parse_options(int count, char **words) {
    static const struct option known[] = {
        {"stalled", required_argument, NULL, 'n'}, {"inflight", required_argument, NULL, 'i'},
        {"seconds", required_argument, NULL, 't'}, {"key", required_argument, NULL, 'k'},
        {"secret", required_argument, NULL, 's'},  {NULL, 0, NULL, 0},
    };
    options given = {.key = "", .secret = "", .inflight = 64, .patience = 120};
    for (int letter; (letter = getopt_long(count, words, "", known, NULL)) != -1;) {
        switch (letter) {
        case 'n': given.stalled = atoi(optarg); break;
        case 'i': given.inflight = atoi(optarg); break;
        case 't': given.patience = atof(optarg); break;
        case 'k': given.key = optarg; break;
        case 's': given.secret = optarg; break;
        default: exit(2);
        }
    }
    if (count - optind < 5) {
        fprintf(stderr, "usage: load HOST PORT PATH SOCKETS [options] CHANNEL...\n");
        exit(2);
    }
    given.host = words[optind];
    given.port = words[optind + 1];
    given.path = words[optind + 2];
    given.sockets = atoi(words[optind + 3]);
    given.channels = words + optind + 4;
    given.channel_count = count - optind - 4;
    return given;
}
