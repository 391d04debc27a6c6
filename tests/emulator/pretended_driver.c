// A pretended libcuda.so.1: device memory is the host's, launches go to a callback.
//
// Contexts are tracked per thread, and calls without one fail as on a GPU. The environment changes
// it while it runs: PRETENDED_MEMORY, bytes of the GPU; PRETENDED_FULL, none are given, although
// some are free; PRETENDED_FAILURE, every launch fails; PRETENDED_VERSION, the driver's version
// (13000); PRETENDED_GPUS, their number (1); PRETENDED_INIT and PRETENDED_CONTEXT, what cuInit and
// opening a GPU return. Built by pretended_driver.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *P;
typedef unsigned long long U64;

#define OF_THREAD ((P)2)

enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 101, NO_CONTEXT = 201,
       ILLEGAL_ADDRESS = 700, ABSENT = 801, UNKNOWN = 999 };
enum { RESERVED = 600 << 20 }; // bytes that a GPU keeps for itself

#define NEEDS_CONTEXT if (!depth) return NO_CONTEXT
#define DOES_NOTHING(name, parameters) int name parameters { return OK; }
#define GIVES(name, parameters, pointer, value) int name parameters { *(pointer) = (value); return OK; }

long pretended_launches, pretended_allocations, pretended_copies, pretended_bytes;
long pretended_elsewhere; // launches and copies that are not in the stream of their thread

static __thread P contexts[64];
static __thread int depth;
static int held;
static char context[64], pool[8];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static U64 number(const char *name, U64 otherwise) {
  const char *given = getenv(name);
  return given ? strtoull(given, 0, 10) : otherwise;
}
static U64 total(void) { return number("PRETENDED_MEMORY", 150754820096ULL); }

// --- device and contexts ---------------------------------------------------------------------

int cuInit(unsigned flags) { return flags ? INVALID : (int)number("PRETENDED_INIT", OK); }
GIVES(cuDriverGetVersion, (int *version), version, (int)number("PRETENDED_VERSION", 13000))
GIVES(cuDeviceGetCount, (int *count), count, (int)number("PRETENDED_GPUS", 1))
GIVES(cuDeviceTotalMem_v2, (size_t *bytes, int device), bytes, total())
int cuDeviceGet(int *device, int index) {
  *device = index;
  return index < (int)number("PRETENDED_GPUS", 1) ? OK : NO_DEVICE;
}
int cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, length, "pretended GPU %d", device);
  return OK;
}
int cuDeviceGetUuid_v2(char *uuid, int device) { memset(uuid, 7, 16); return OK; }
int cuDeviceGetUuid(char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  static const int known[][2] = {
      {1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535},
      {8, 49152}, {10, 32}, {12, 65536}, {13, 1980000}, {16, 132}, {33, 0}, {34, 0}, {38, 62914560},
      {39, 2048}, {75, 9}, {76, 0}, {81, 233472}, {82, 65536}, {97, 232448}, {106, 32}};
  *value = 1;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i][0] == attribute) *value = known[i][1];
  return OK;
}
int cuDevicePrimaryCtxRetain(P *found, int device) {
  int error = (int)number("PRETENDED_CONTEXT", OK);
  if (!error) held++, *found = context;
  return error;
}
int cuDevicePrimaryCtxRelease_v2(int device) { held--; return OK; }
int pretended_left_open(void) { return held + depth; }
DOES_NOTHING(cuDevicePrimaryCtxReset_v2, (int device))
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
  *flags = 0, *active = 1;
  return OK;
}
GIVES(cuCtxGetCurrent, (P *found), found, depth ? contexts[depth - 1] : 0)
int cuCtxSetCurrent(P given) {
  if (!depth) depth = 1;
  contexts[depth - 1] = given;
  if (!given) depth = 0;
  return OK;
}
int cuCtxPushCurrent_v2(P given) { contexts[depth++] = given; return OK; }
int cuCtxPopCurrent_v2(P *found) {
  NEEDS_CONTEXT;
  P last = contexts[--depth];
  if (found) *found = last;
  return OK;
}
int cuCtxGetDevice(int *device) { NEEDS_CONTEXT; *device = 0; return OK; }
GIVES(cuCtxGetDevice_v2, (int *device, P given), device, 0)
GIVES(cuCtxGetApiVersion, (P given, unsigned *version), version, 3020)
GIVES(cuCtxGetId, (P given, U64 *id), id, 1)
int cuCtxSynchronize(void) { NEEDS_CONTEXT; return OK; }
DOES_NOTHING(cuCtxSynchronize_v2, (P given))
GIVES(cuCtxGetFlags, (unsigned *flags), flags, 0)
GIVES(cuCtxGetLimit, (size_t *value, int limit), value, 1024)

// --- memory ----------------------------------------------------------------------------------

struct block { size_t size, mark; char gap[48]; };
enum { MARK = 0x51C0 };

int cuMemAlloc_v2(U64 *found, size_t size) {
  NEEDS_CONTEXT;
  if (!size) return INVALID;
  if (number("PRETENDED_FULL", 0)) return OUT_OF_MEMORY;
  if (pretended_bytes + size + RESERVED > total()) return OUT_OF_MEMORY;
  struct block *block = malloc(sizeof *block + size + 4096);
  if (!block) return OUT_OF_MEMORY;
  block->size = size, block->mark = MARK;
  pthread_mutex_lock(&lock);
  pretended_allocations++, pretended_bytes += size;
  pthread_mutex_unlock(&lock);
  *found = (U64)(block + 1);
  return OK;
}
int cuMemFree_v2(U64 place) {
  NEEDS_CONTEXT;
  struct block *block = (struct block *)place - 1;
  if (block->mark != MARK) return INVALID;
  pthread_mutex_lock(&lock);
  pretended_bytes -= block->size;
  pthread_mutex_unlock(&lock);
  block->mark = 0;
  free(block);
  return OK;
}
int cuMemGetInfo_v2(size_t *free_bytes, size_t *all) {
  NEEDS_CONTEXT;
  U64 taken = RESERVED + pretended_bytes;
  *all = total(), *free_bytes = taken < total() ? total() - taken : 0;
  return OK;
}
static int copy(void *to, const void *from, size_t size, P stream) {
  NEEDS_CONTEXT;
  pthread_mutex_lock(&lock);
  pretended_copies++, pretended_elsewhere += stream != OF_THREAD;
  pthread_mutex_unlock(&lock);
  memcpy(to, from, size);
  return OK;
}
int cuMemcpyHtoD_v2(U64 to, const void *from, size_t size) { return copy((P)to, from, size, 0); }
int cuMemcpyDtoH_v2(void *to, U64 from, size_t size) { return copy(to, (P)from, size, 0); }
int cuMemcpyDtoD_v2(U64 to, U64 from, size_t size) { return copy((P)to, (P)from, size, 0); }
int cuMemcpyHtoDAsync_v2(U64 to, const void *from, size_t size, P stream) {
  return copy((P)to, from, size, stream);
}
int cuMemcpyDtoHAsync_v2(void *to, U64 from, size_t size, P stream) {
  return copy(to, (P)from, size, stream);
}
int cuMemAllocAsync(U64 *found, size_t size, P stream) { return cuMemAlloc_v2(found, size); }
int cuMemAllocFromPoolAsync(U64 *found, size_t size, P from, P stream) {
  return cuMemAlloc_v2(found, size);
}
int cuMemFreeAsync(U64 place, P stream) { return cuMemFree_v2(place); }
GIVES(cuDeviceGetDefaultMemPool, (P *found, int device), found, pool)
GIVES(cuDeviceGetMemPool, (P *found, int device), found, pool)
DOES_NOTHING(cuDeviceSetMemPool, (int device, P given))
GIVES(cuMemPoolGetAttribute, (P given, int attribute, U64 *value), value, 0)
DOES_NOTHING(cuMemPoolSetAttribute, (P given, int attribute, void *value))
int cuPointerGetAttribute(void *value, int attribute, U64 place) {
  if (attribute == 1) *(P *)value = context;
  else if (attribute == 2) *(int *)value = 2; // device memory
  else if (attribute == 8 || attribute == 9) *(int *)value = 0;
  else *(U64 *)value = place;
  return OK;
}
int cuPointerGetAttributes(unsigned count, int *attributes, void **values, U64 place) {
  for (unsigned i = 0; i < count; i++) cuPointerGetAttribute(values[i], attributes[i], place);
  return OK;
}

// --- streams and events ----------------------------------------------------------------------

DOES_NOTHING(cuStreamSynchronize, (P stream))
GIVES(cuStreamCreate, (P *stream, unsigned flags), stream, malloc(8))
GIVES(cuStreamCreateWithPriority, (P *stream, unsigned flags, int rank), stream, malloc(8))
DOES_NOTHING(cuStreamDestroy_v2, (P stream))
GIVES(cuStreamGetCtx, (P stream, P *found), found, context)
GIVES(cuStreamGetFlags, (P stream, unsigned *flags), flags, 0)
GIVES(cuStreamIsCapturing, (P stream, int *is), is, 0)
GIVES(cuStreamGetDevice, (P stream, int *device), device, 0)
DOES_NOTHING(cuStreamWaitEvent, (P stream, P event, unsigned flags))
GIVES(cuEventCreate, (P *event, unsigned flags), event, malloc(8))
DOES_NOTHING(cuEventRecord, (P event, P stream))
DOES_NOTHING(cuEventSynchronize, (P event))
GIVES(cuEventElapsedTime_v2, (float *time, P from, P to), time, 1)
DOES_NOTHING(cuEventDestroy_v2, (P event))

// --- kernels ---------------------------------------------------------------------------------

struct kernel { P library; char name[1000]; };

int cuLibraryLoadData(P *library, const void *code, P *options, P *values, unsigned count,
                      P *library_options, P *library_values, unsigned library_count) {
  NEEDS_CONTEXT;
  *library = malloc(8);
  return OK;
}
DOES_NOTHING(cuLibraryUnload, (P library))
int cuLibraryGetKernel(P *found, P library, const char *name) {
  struct kernel *kernel = malloc(sizeof *kernel);
  kernel->library = library;
  snprintf(kernel->name, sizeof kernel->name, "%s", name);
  *found = kernel;
  return OK;
}
GIVES(cuLibraryGetKernelCount, (unsigned *count, P library), count, 1)
GIVES(cuLibraryGetModule, (P *module, P library), module, library)
GIVES(cuKernelGetFunction, (P *function, P kernel), function, kernel)
GIVES(cuKernelGetName, (const char **name, P kernel), name, ((struct kernel *)kernel)->name)
GIVES(cuKernelGetLibrary, (P *library, P kernel), library, ((struct kernel *)kernel)->library)
GIVES(cuFuncGetModule, (P *module, P kernel), module, ((struct kernel *)kernel)->library)
static int attribute_of(int attribute) { return attribute == 0 ? 1024 : attribute == 4 ? 56 : 0; }
GIVES(cuKernelGetAttribute, (int *v, int attribute, P kernel, int device), v,
      attribute_of(attribute))
GIVES(cuFuncGetAttribute, (int *value, int attribute, P kernel), value, attribute_of(attribute))
DOES_NOTHING(cuKernelSetAttribute, (int attribute, int value, P kernel, int device))
DOES_NOTHING(cuFuncSetAttribute, (P kernel, int attribute, int value))
DOES_NOTHING(cuModuleUnload, (P module))
GIVES(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *n, P kernel, int threads, size_t shared), n,
      8)

typedef int (*callback)(const char *name, unsigned grid, unsigned block, void **parameters);
static callback on_launch;
void pretended_on_launch(callback given) { on_launch = given; }

static int launch(P kernel, unsigned grid, unsigned block, P stream, void **parameters) {
  NEEDS_CONTEXT;
  pthread_mutex_lock(&lock);
  pretended_launches++, pretended_elsewhere += stream != OF_THREAD;
  pthread_mutex_unlock(&lock);
  if (!grid || !block) return INVALID;
  if (number("PRETENDED_FAILURE", 0)) return ILLEGAL_ADDRESS;
  return on_launch ? on_launch(((struct kernel *)kernel)->name, grid, block, parameters) : OK;
}
int cuLaunchKernel(P kernel, unsigned grid, unsigned gy, unsigned gz, unsigned block, unsigned by,
                   unsigned bz, unsigned shared, P stream, void **parameters, void **extra) {
  return launch(kernel, grid, block, stream, parameters);
}
struct configuration { unsigned grid, gy, gz, block, by, bz, shared; P stream, attributes; unsigned n; };
int cuLaunchKernelEx(struct configuration *given, P kernel, void **parameters, void **extra) {
  return launch(kernel, given->grid, given->block, given->stream, parameters);
}

// --- errors, and the addresses of all of it ---------------------------------------------------

int cuGetErrorName(int error, const char **name) {
  *name = error == INVALID           ? "CUDA_ERROR_INVALID_VALUE"
          : error == OUT_OF_MEMORY   ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == NO_CONTEXT      ? "CUDA_ERROR_INVALID_CONTEXT"
          : error == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : error == ABSENT          ? "CUDA_ERROR_NOT_SUPPORTED"
          : error == UNKNOWN         ? "CUDA_ERROR_UNKNOWN"
                                     : 0;
  return *name ? OK : INVALID;
}
GIVES(cuGetErrorString, (int error, const char **text), text, "pretended")

static int absent(void) { return ABSENT; }

int cuGetProcAddress_v2(const char *name, P *found, int version, U64 flags, int *status) {
  static const char *endings[] = {"_v4", "_v3", "_v2", ""};
  static P self;
  char full[300];
  Dl_info own;
  if (!self && dladdr((P)cuInit, &own)) self = dlopen(own.dli_fname, RTLD_NOW);
  *found = 0;
  for (int i = 0; i < 4 && !*found; i++) {
    snprintf(full, sizeof full, "%s%s", name, endings[i]);
    *found = dlsym(self, full);
  }
  if (!*found) *found = (P)absent;
  if (status) *status = 0;
  return OK;
}
int cuGetProcAddress(const char *name, P *found, int version, U64 flags) {
  return cuGetProcAddress_v2(name, found, version, flags, 0);
}
