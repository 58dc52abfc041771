// One thread, one epoll: receive a frame, unmask it, send it back with a suffix. No limits, no
// validation, one frame of each client at a time, whose header must come whole: what the kernel
// alone asks for an echo, and not a server. While a reply goes out in part, nobody else is served.

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256, DESCRIPTORS = 1 << 20, HEADER = 14, LARGEST = 8 * 1024 * 1024 };
static const char SUFFIX[] = " 123456";
enum { SUFFIX_BYTES = sizeof SUFFIX - 1 };

static unsigned char received[HEADER + LARGEST], reply[HEADER + LARGEST + SUFFIX_BYTES];

// By descriptor: a frame of which a part has arrived.
static struct { unsigned char *bytes; long got, size; } begun[DESCRIPTORS];

static void put(int fd, long size) {
  for (long at = 0; at < size;) {
    long sent = send(fd, reply + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    struct pollfd waited = {.fd = fd, .events = POLLOUT};
    if (sent >= 0) at += sent;
    else poll(&waited, 1, -1);
  }
}

// Write the header of an unmasked frame; return where the payload begins.
static long head(unsigned char first, long size) {
  reply[0] = first;
  if (size < 126) {
    reply[1] = size;
    return 2;
  }
  int bytes = size < 65536 ? 2 : 8;
  reply[1] = bytes == 2 ? 126 : 127;
  for (int i = 0; i < bytes; i++) reply[2 + i] = (uint64_t)size >> 8 * (bytes - 1 - i);
  return 2 + bytes;
}

// Echo a whole frame; return 0 if it was a close.
static int answer(int fd, const unsigned char *frame, int length_bytes, uint64_t size) {
  const unsigned char *mask = frame + 2 + length_bytes, *from = mask + 4;
  int closing = (frame[0] & 0x0f) == 8;
  long at = head(frame[0], closing ? size : size + SUFFIX_BYTES);
  uint32_t mask32;
  memcpy(&mask32, mask, 4);
  uint64_t mask64 = (uint64_t)mask32 << 32 | mask32, word, i = 0;
  for (; i + 8 <= size; i += 8) {
    memcpy(&word, from + i, 8);
    word ^= mask64;
    memcpy(reply + at + i, &word, 8);
  }
  for (; i < size; i++) reply[at + i] = from[i] ^ mask[i & 3];
  if (!closing) {
    memcpy(reply + at + size, SUFFIX, SUFFIX_BYTES);
    size += SUFFIX_BYTES;
  }
  put(fd, at + size);
  return !closing;
}

// Take what has arrived; return 0 when the connection is over, or for what is not taken.
static int take(int fd) {
  unsigned char *frame = begun[fd].bytes;
  long got = begun[fd].got, size = frame ? begun[fd].size : (long)sizeof received;
  long more = recv(fd, (frame ? frame : received) + got, size - got, MSG_DONTWAIT);
  if (more < 0 && errno == EAGAIN) return 1;
  if (more <= 0) return 0;
  got += more;
  const unsigned char *start = frame ? frame : received;
  uint64_t payload = start[1] & 0x7f;
  int length_bytes = payload == 126 ? 2 : payload == 127 ? 8 : 0;
  if (got < 6 + length_bytes) return 0;
  if (length_bytes) payload = 0;
  for (int i = 0; i < length_bytes; i++) payload = payload << 8 | start[2 + i];
  if (payload > LARGEST) return 0;
  size = 6 + length_bytes + payload;
  if (got >= size) {
    begun[fd].bytes = NULL;
    begun[fd].got = 0;
    int open = answer(fd, start, length_bytes, payload);
    free(frame);
    return open;
  }
  if (!frame) {
    if (!(begun[fd].bytes = malloc(size))) return 0;
    memcpy(begun[fd].bytes, received, got);
    begun[fd].size = size;
  }
  begun[fd].got = got;
  return 1;
}

static void end(int fd) {
  free(begun[fd].bytes);
  begun[fd].bytes = NULL;
  begun[fd].got = 0;
  close(fd);
}

// Echo on all that are registered, until somebody waits at the listener.
void echo(int epoll, int listener) {
  struct epoll_event events[BATCH];
  for (int waiting = 0; !waiting;) {
    int ready = epoll_wait(epoll, events, BATCH, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) waiting = 1;
      else if (fd >= DESCRIPTORS) close(fd);
      else if (!take(fd)) end(fd);
    }
  }
}
