/* Stands in for NCCL and for NVIDIA's driver at once, for tests without a device: a process is a device, and its
 * memory is the device's. Nothing is summed until somebody asks whether the stream is idle, so that whoever does not
 * wait has no sums. STANDIN says what goes wrong, STANDIN_LOG to which files the calls of each process go. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RANKS = 8, NUMBERS = 1 << 20, STREAM = 42, NOT_READY = 600, NO_CONTEXT = 201 };

/* What the ranks share: a mapped file, whose name is the id. */
struct board {
  atomic_int joined, posted[RANKS], done[RANKS];
  float values[RANKS][NUMBERS];
};

struct communicator {
  struct board *board;
  int rank, size;
  /* Of the exchange that was begun last. */
  int number, is_posted, is_sum;
  const float *from;
  float *to;
  size_t count;
};

static struct communicator *under_way;
/* Contexts that this thread has made current. */
static _Thread_local int contexts;

static int wrong(const char *what) {
  const char *wish = getenv("STANDIN");
  return wish && !strcmp(wish, what);
}

static void called(const char *format, ...) {
  char path[4096];
  snprintf(path, sizeof path, "%s.%d", getenv("STANDIN_LOG"), getpid());
  FILE *file = fopen(path, "a");
  va_list arguments;
  va_start(arguments, format);
  vfprintf(file, format, arguments);
  va_end(arguments);
  fclose(file);
}

static void wait_for_ever(void) {
  for (;;) pause();
}

/* NCCL */

typedef struct {
  char internal[128];
} id;

int ncclGetVersion(int *version) {
  *version = wrong("old") ? 21003 : 22705;
  return 0;
}

const char *ncclGetErrorString(int code) { return code == 6 ? "a peer is gone" : "no luck"; }

int ncclGetUniqueId(id *made) {
  called("id\n");
  if (wrong("id")) return 2;
  strcpy(made->internal, "/tmp/standin-XXXXXX");
  int file = mkstemp(made->internal);
  if (file < 0 || ftruncate(file, sizeof(struct board))) return 2;
  return close(file);
}

int ncclCommInitRank(struct communicator **made, int size, id common, int rank) {
  called("join %d of %d, NVLS %s\n", rank, size, getenv("NCCL_NVLS_ENABLE"));
  if (!contexts) return 1;
  if (wrong("init") && rank == 1) return 2;
  if (wrong("stuck")) wait_for_ever();
  int file = open(common.internal, O_RDWR);
  void *board = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file < 0 || board == MAP_FAILED) return 2;
  close(file);
  *made = calloc(1, sizeof **made);
  (*made)->board = board, (*made)->rank = rank, (*made)->size = size;
  atomic_fetch_add(&(*made)->board->joined, 1);
  while (atomic_load(&(*made)->board->joined) < size) usleep(100);
  if (rank == 0) unlink(common.internal);
  return 0;
}

static int begin(struct communicator *joined, const void *from, void *to, size_t count, int type, void *stream) {
  int known = stream == NULL || stream == (void *)STREAM;
  if (!contexts || under_way || type != 7 || !known || count > NUMBERS) return 5;
  joined->number++, joined->is_posted = 0, joined->from = from, joined->to = to, joined->count = count;
  under_way = joined;
  return 0;
}

int ncclAllReduce(const void *from, void *to, size_t count, int type, int op, struct communicator *joined, void *stream) {
  called("sum %zu\n", count);
  joined->is_sum = 1;
  return op ? 4 : begin(joined, from, to, count, type, stream);
}

int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, struct communicator *joined,
                  void *stream) {
  called("broadcast %zu\n", count);
  joined->is_sum = 0;
  return root ? 4 : begin(joined, from, to, count, type, stream);
}

int ncclCommGetAsyncError(struct communicator *joined, int *code) {
  *code = wrong("async") && joined->rank == 1 && joined->number > 2 ? 6 : 0;
  return 0;
}

int ncclCommAbort(struct communicator *joined) {
  called("abort\n");
  if (under_way == joined) under_way = NULL;
  return 0;
}

int ncclCommDestroy(struct communicator *joined) {
  called("destroy\n");
  return under_way == joined;
}

/* All ranks have come so far. */
static int all(atomic_int *numbers, int size, int number) {
  for (int rank = 0; rank < size; rank++)
    if (atomic_load(&numbers[rank]) < number) return 0;
  return 1;
}

static int is_over(struct communicator *joined) {
  struct board *board = joined->board;
  int number = joined->number;
  if (number > 2 && (wrong("async") || wrong("hang"))) return 0;
  if (!joined->is_posted) {
    if (!all(board->done, joined->size, number - 1)) return 0;
    memcpy(board->values[joined->rank], joined->from, joined->count * sizeof(float));
    atomic_store(&board->posted[joined->rank], number);
    joined->is_posted = 1;
  }
  if (!all(board->posted, joined->size, number)) return 0;
  for (size_t place = 0; place < joined->count; place++) {
    float sum = board->values[0][place];
    for (int rank = 1; joined->is_sum && rank < joined->size; rank++) sum += board->values[rank][place];
    joined->to[place] = sum + (joined->is_sum && wrong("wrong"));
  }
  atomic_store(&board->done[joined->rank], number);
  return 1;
}

/* The driver */

int cuInit(unsigned flags) { return wrong("no-device") ? 100 : (int)flags; }

int cuGetErrorString(int code, const char **text) {
  *text = code == 100 ? "no CUDA-capable device is detected" : NULL;
  return 0;
}

int cuDeviceGet(int *device, int number) {
  *device = number;
  return number < RANKS ? 0 : 101;
}

int cuDeviceGetUuid_v2(char *uuid, int device) {
  snprintf(uuid, 16, "%d %d", wrong("same") ? 0 : getpid(), device * !wrong("same"));
  return 0;
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
  (void)device;
  *context = &under_way;
  return 0;
}

int cuCtxPushCurrent_v2(void *context) {
  contexts++;
  return context != &under_way;
}

int cuCtxPopCurrent_v2(void **context) {
  *context = &under_way;
  return contexts-- ? 0 : NO_CONTEXT;
}

int cuStreamCreate(void **stream, unsigned flags) {
  *stream = (void *)STREAM;
  return contexts && flags == 1 ? 0 : NO_CONTEXT;
}

int cuStreamQuery(void *stream) {
  (void)stream;
  if (!contexts) return NO_CONTEXT;
  if (under_way && !is_over(under_way)) return NOT_READY;
  under_way = NULL;
  return 0;
}

int cuMemAlloc_v2(void **address, size_t bytes) {
  *address = malloc(bytes);
  return contexts && *address ? 0 : NO_CONTEXT;
}

int cuMemcpyHtoD_v2(void *to, const void *from, size_t bytes) {
  memcpy(to, from, bytes);
  return contexts ? 0 : NO_CONTEXT;
}

int cuMemcpyDtoH_v2(void *to, const void *from, size_t bytes) {
  memcpy(to, from, bytes);
  return contexts ? 0 : NO_CONTEXT;
}
