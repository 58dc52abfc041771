// One thread, one epoll: receive a frame, unmask it, send it back with a suffix. No limits, no
// validation, whole short frames only: what the kernel alone asks for an echo, and not a server.

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256, SHORT = 125 };
static const char SUFFIX[] = " 123456";

// Echo on all that are registered, until somebody waits at the listener.
void echo(int epoll, int listener) {
  struct epoll_event events[BATCH];
  unsigned char frame[4096], reply[SHORT + sizeof SUFFIX + 2];
  for (int waiting = 0; !waiting;) {
    int ready = epoll_wait(epoll, events, BATCH, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        waiting = 1;
        continue;
      }
      long got = recv(fd, frame, sizeof frame, 0);
      int size = frame[1] & 0x7f, closing = (frame[0] & 0x0f) == 8;
      if (got < 6 || got < 6 + size || size > SHORT - (int)sizeof SUFFIX) {
        close(fd);
        continue;
      }
      for (int at = 0; at < size; at++) reply[2 + at] = frame[6 + at] ^ frame[2 + (at & 3)];
      if (!closing) {
        memcpy(reply + 2 + size, SUFFIX, sizeof SUFFIX - 1);
        size += sizeof SUFFIX - 1;
      }
      reply[0] = frame[0];
      reply[1] = size;
      send(fd, reply, 2 + size, MSG_NOSIGNAL);
    }
  }
}
