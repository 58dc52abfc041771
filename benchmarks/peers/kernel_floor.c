// One thread, one epoll: receive a frame, unmask it, send it back with a suffix. No limits, no
// validation, one whole frame at a time: what the kernel alone asks for an echo, and not a server.
// A frame that has arrived in part, or goes out in part, is waited for: nobody else is served then.

#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256, HEADER = 14, LARGEST = 8 * 1024 * 1024 };
static const char SUFFIX[] = " 123456";
enum { SUFFIX_BYTES = sizeof SUFFIX - 1 };

static unsigned char received[HEADER + LARGEST], reply[HEADER + LARGEST + SUFFIX_BYTES];

static void wait_for(int fd, short events) {
  struct pollfd waited = {.fd = fd, .events = events};
  poll(&waited, 1, -1);
}

// Have at least so many bytes in `received`, of which some are there; return how many, or 0.
static long have(int fd, long got, long wanted) {
  while (got < wanted) {
    long more = recv(fd, received + got, sizeof received - got, MSG_DONTWAIT);
    if (more == 0) return 0;
    if (more < 0) wait_for(fd, POLLIN);
    else got += more;
  }
  return got;
}

static void put(int fd, long size) {
  for (long at = 0; at < size;) {
    long sent = send(fd, reply + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) at += sent;
    else wait_for(fd, POLLOUT);
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

// Answer one frame; return 0 at the end of the connection, behind a close, or for more than is taken.
static int answer(int fd) {
  long got = recv(fd, received, sizeof received, MSG_DONTWAIT);
  if (got <= 0 || !(got = have(fd, got, 6))) return 0;
  uint64_t size = received[1] & 0x7f;
  int bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
  if (bytes) {
    if (!(got = have(fd, got, 6 + bytes))) return 0;
    size = 0;
    for (int i = 0; i < bytes; i++) size = size << 8 | received[2 + i];
  }
  if (size > LARGEST || !have(fd, got, 6 + bytes + size)) return 0;

  const unsigned char *mask = received + 2 + bytes, *from = mask + 4;
  int closing = (received[0] & 0x0f) == 8;
  long at = head(received[0], closing ? size : size + SUFFIX_BYTES);
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

// Echo on all that are registered, until somebody waits at the listener.
void echo(int epoll, int listener) {
  struct epoll_event events[BATCH];
  for (int waiting = 0; !waiting;) {
    int ready = epoll_wait(epoll, events, BATCH, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) waiting = 1;
      else if (!answer(fd)) close(fd);
    }
  }
}
