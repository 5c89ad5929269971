/* The load of the benchmarks: many sockets of Pusher's protocol in one thread.
 *
 *   load HOST PORT PATH SOCKETS [--stalled N] [--inflight N] [--seconds N]
 *        [--key KEY --secret SECRET] CHANNEL...
 *
 * Each socket connects, waits for its socket id and subscribes to every CHANNEL; "name/100"
 * stands for one channel for each hundred sockets: name.0, name.1 and so on. Private and presence
 * channels are signed. N more sockets, the stalled ones, subscribe like the others and never read
 * again. At most `inflight` sockets are on their way at a time.
 *
 * When all are there, a line of JSON says so. From then on frames of the event "bench-event" are
 * counted, and the time from the `ts` in their data (microseconds of CLOCK_REALTIME) until they
 * were read here is noted. A line "report FRAMES SECONDS" on standard input is answered with a
 * line of JSON as soon as FRAMES of them are there, after SECONDS at the latest; counting begins
 * anew. The end of standard input ends the load.
 */
#define _GNU_SOURCE
#include "histogram.h"
#include "options.h"
#include "pusher.h"
#include "websocket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef enum { CONNECTING, UPGRADING, GREETED, SUBSCRIBING, READY, CLOSED } phase;

typedef struct {
    int fd;
    phase phase;
    int unanswered;   /* subscriptions */
    uint32_t frames;  /* since the last report */
    size_t kept;      /* bytes of a frame that has not come whole */
    unsigned char *rest;
} client;

enum { EVENTS = 1024, ROOM = 8 << 20, PER_ADDRESS = 20000 };
enum { STALLED_ROOM = 4096, STALLED_SEGMENT = 1400 };
static const char MARK[] = "bench-event", STAMP[] = "ts\\\":";

static options given;
static client *clients;
static unsigned char *room;
static struct addrinfo *address;
static int poller, opened, underway, ready, closed, complaints;
static uint64_t frames, others, bytes;
static histogram latencies;

static struct {
    bool asked;
    uint64_t frames;
    double until;
} report;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static bool reads(const client *one) { return one - clients < given.sockets; }

/* -- opening -------------------------------------------------------------------------------- */

/* One address of loopback has too few ports for more than some 28,000 connections. */
static void spread(int fd) {
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;
    if (strncmp(given.host, "127.", 4) != 0) return;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    from.sin_addr.s_addr = htonl((uint32_t)(INADDR_LOOPBACK + opened / PER_ADDRESS));
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) die("bind");
}

static void watch(int how, int fd, uint32_t events, int number) {
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)number};
    if (epoll_ctl(poller, how, fd, &event)) die("epoll_ctl");
}

/* Little room, and segments as on the internet: with those of loopback, 64 KB each, the kernel
 * would take megabytes off the server before it has to do anything about a reader that is slow. */
static void shrink(int fd) {
    int space = STALLED_ROOM, segment = STALLED_SEGMENT;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &space, sizeof space);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
}

static void open_next(void) {
    client *one = &clients[opened];
    int on = 1;
    one->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (one->fd < 0) die("socket");
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!reads(one)) shrink(one->fd);
    spread(one->fd);
    if (connect(one->fd, address->ai_addr, address->ai_addrlen) && errno != EINPROGRESS)
        die("connect");
    watch(EPOLL_CTL_ADD, one->fd, EPOLLOUT, opened++);
    underway++;
}

static void upgrade(client *one) {
    char request[2048], nonce[WEBSOCKET_KEY + 1];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        errno = error;
        die("connect");
    }
    websocket_key(nonce);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: %s\r\n\r\n",
                          given.path, given.host, given.port, nonce);
    if (write(one->fd, request, (size_t)length) != length) die("write");
    one->phase = UPGRADING;
    watch(EPOLL_CTL_MOD, one->fd, EPOLLIN, (int)(one - clients));
}

/* -- subscribing ---------------------------------------------------------------------------- */

static void greet(client *one, const unsigned char *text, size_t size) {
    char socket_id[PUSHER_ID], message[PUSHER_MESSAGE];
    if (!pusher_socket_id(text, size, socket_id)) {
        fprintf(stderr, "no socket id in %.*s\n", (int)size, text);
        exit(1);
    }
    for (int i = 0; i < given.channel_count; i++) {
        pusher_subscribe(message, given.key, given.secret, socket_id, given.channels[i],
                         (int)(one - clients));
        if (!websocket_send(one->fd, WEBSOCKET_TEXT, message, strlen(message))) die("write");
    }
    one->unanswered = given.channel_count;
    one->phase = SUBSCRIBING;
}

static void settle(client *one) {
    one->phase = READY;
    ready++;
    underway--;
    if (!reads(one)) watch(EPOLL_CTL_DEL, one->fd, 0, 0);
}

/* -- reading -------------------------------------------------------------------------------- */

static bool has(const unsigned char *text, size_t size, const char *what) {
    return memmem(text, size, what, strlen(what)) != NULL;
}

static void count(client *one, const unsigned char *text, size_t size) {
    const char *at = memmem(text, size, STAMP, sizeof STAMP - 1);
    frames++;
    one->frames++;
    if (at) {
        double late = now_us() - strtod(at + sizeof STAMP - 1, NULL);
        histogram_add(&latencies, late > 0 ? (uint64_t)late : 0);
    }
}

static void take_text(client *one, const unsigned char *text, size_t size) {
    if (has(text, size, MARK)) {
        count(one, text, size);
    } else if (has(text, size, "pusher:ping")) {
        const char pong[] = "{\"event\":\"pusher:pong\",\"data\":{}}";
        websocket_send(one->fd, WEBSOCKET_TEXT, pong, sizeof pong - 1);
    } else if (one->phase == GREETED && has(text, size, "connection_established")) {
        greet(one, text, size);
    } else if (one->phase == SUBSCRIBING && has(text, size, "subscription_succeeded")) {
        if (--one->unanswered == 0) settle(one);
    } else {
        others++;
        if ((has(text, size, "pusher:error") || has(text, size, "subscription_error")) &&
            complaints++ < 3)
            fprintf(stderr, "the server says: %.*s\n", (int)size, text);
    }
}

/* Returns how much of what came is used up. */
static size_t take(client *one, unsigned char *data, size_t size) {
    size_t used = 0;
    websocket_frame frame;
    if (one->phase == UPGRADING) {
        unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(data, "HTTP/1.1 101", 12) != 0) {
            fprintf(stderr, "refused: %.*s\n", (int)size, data);
            exit(1);
        }
        used = (size_t)(end - data) + 4;
        one->phase = GREETED;
    }
    while (websocket_next(data + used, size - used, &frame)) {
        if (frame.opcode == WEBSOCKET_TEXT) take_text(one, frame.payload, frame.size);
        if (frame.opcode == WEBSOCKET_PING)
            websocket_send(one->fd, WEBSOCKET_PONG, (const char *)frame.payload, frame.size);
        if (frame.opcode == WEBSOCKET_CLOSE)
            websocket_send(one->fd, WEBSOCKET_CLOSE, (const char *)frame.payload, frame.size);
        used += frame.whole;
    }
    return used;
}

static void lose(client *one) {
    if (one->phase < READY) {
        fprintf(stderr, "the server hung up on socket %d before it was subscribed\n",
                (int)(one - clients));
        exit(1);
    }
    close(one->fd);
    free(one->rest);
    one->rest = NULL;
    one->phase = CLOSED;
    closed++;
}

static void read_from(client *one) {
    if (one->kept) memcpy(room, one->rest, one->kept);
    ssize_t got = read(one->fd, room + one->kept, ROOM - one->kept);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        lose(one);
        return;
    }
    bytes += (uint64_t)got;
    size_t size = one->kept + (size_t)got, used = take(one, room, size);
    size_t kept = size - used;
    if (kept == 0) {
        free(one->rest);
        one->rest = NULL;
    } else {
        one->rest = realloc(one->rest, kept);
        if (!one->rest) die("realloc");
        memcpy(one->rest, room + used, kept);
    }
    one->kept = kept;
    if (kept == ROOM) {
        fprintf(stderr, "a frame is too large\n");
        exit(1);
    }
}

/* -- reporting ------------------------------------------------------------------------------ */

static void restart_counting(void) {
    memset(&latencies, 0, sizeof latencies);
    frames = others = bytes = 0;
    for (int i = 0; i < given.sockets; i++) clients[i].frames = 0;
}

static void print_report(void) {
    uint32_t least = UINT32_MAX, most = 0;
    const char *comma = "";
    for (int i = 0; i < given.sockets; i++) {
        if (clients[i].frames < least) least = clients[i].frames;
        if (clients[i].frames > most) most = clients[i].frames;
    }
    printf("{\"frames\":%llu,\"least\":%u,\"most\":%u,\"others\":%llu,\"bytes\":%llu,"
           "\"closed\":%d,\"max_us\":%llu,\"histogram\":[",
           (unsigned long long)frames, given.sockets ? least : 0, most, (unsigned long long)others,
           (unsigned long long)bytes, closed, (unsigned long long)latencies.most);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t top = histogram_top(i);
        if (!latencies.counts[i]) continue;
        printf("%s[%llu,%llu]", comma,
               (unsigned long long)(top < latencies.most ? top : latencies.most),
               (unsigned long long)latencies.counts[i]);
        comma = ",";
    }
    puts("]}");
    fflush(stdout);
    restart_counting();
    report.asked = false;
}

/* Standard input comes line by line from a parent that waits for each answer. */
static void obey(void) {
    char line[128];
    unsigned long long wanted;
    double seconds;
    ssize_t got = read(STDIN_FILENO, line, sizeof line - 1);
    if (got <= 0) exit(0);
    line[got] = 0;
    if (sscanf(line, "report %llu %lf", &wanted, &seconds) != 2) {
        fprintf(stderr, "not understood: %s", line);
        exit(2);
    }
    report.asked = true;
    report.frames = wanted;
    report.until = now_us() + seconds * 1e6;
}

/* -- the loop ------------------------------------------------------------------------------- */

static void turn(void) {
    struct epoll_event events[EVENTS];
    int total = given.sockets + given.stalled;
    while (opened < total && underway < given.inflight) open_next();
    /* Never asleep: whoever writes to a reader that sleeps has to wake it, on its own processor's
       time. That would be the server's, and the same for all of them, as if it were their work. */
    int count = epoll_wait(poller, events, EVENTS, 0);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == UINT32_MAX) {
            obey();
            continue;
        }
        client *one = &clients[events[i].data.u32];
        if (one->phase == CONNECTING)
            upgrade(one);
        else if (one->phase != CLOSED)
            read_from(one);
    }
}

static void connect_all(void) {
    double began = now_us();
    int total = given.sockets + given.stalled;
    while (ready < total) {
        turn();
        if (now_us() - began > given.patience * 1e6) {
            fprintf(stderr, "%d of %d sockets were subscribed in time\n", ready, total);
            exit(1);
        }
    }
    printf("{\"ready\":%d,\"seconds\":%.6f,\"others\":%llu}\n", ready,
           (now_us() - began) / 1e6, (unsigned long long)others);
    fflush(stdout);
}

static void raise_limit(int wanted) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)wanted) {
        fprintf(stderr, "%d sockets need ulimit -n above %llu\n", wanted,
                (unsigned long long)limit.rlim_cur);
        exit(1);
    }
}

int main(int count, char **words) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    given = parse_options(count, words);
    int problem = getaddrinfo(given.host, given.port, &hints, &address);
    if (problem) {
        fprintf(stderr, "%s: %s\n", given.host, gai_strerror(problem));
        return 1;
    }
    raise_limit(given.sockets + given.stalled + 16);
    clients = calloc((size_t)(given.sockets + given.stalled), sizeof *clients);
    room = malloc(ROOM);
    poller = epoll_create1(0);
    if (!clients || !room || poller < 0) die("starting");
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, -1);
    connect_all();
    restart_counting();
    for (;;) {
        turn();
        if (report.asked && (frames >= report.frames || now_us() > report.until)) print_report();
    }
}
