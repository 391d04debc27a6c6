/* A stand-in for libcuda.so.1 with the calls that simcore makes; the environment says what it has.

   FAKE_INIT     what cuInit returns
   FAKE_GPUS     number of GPUs
   FAKE_CONTEXT  what opening a GPU returns
*/
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static int held, pushed;

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

int cuInit(unsigned flags) { return flags ? 1 : number("FAKE_INIT"); }

int cuDriverGetVersion(int *version) {
    *version = 13010;
    return 0;
}

int cuGetErrorName(int code, const char **name) {
    *name = code == 999 ? "CUDA_ERROR_UNKNOWN" : NULL;
    return *name ? 0 : 1;
}

int cuDeviceGetCount(int *count) {
    *count = number("FAKE_GPUS");
    return 0;
}

int cuDeviceGet(int *device, int index) {
    *device = index + 5; /* a handle is not the index */
    return 0;
}

int cuDeviceGetName(char *name, int size, int device) {
    snprintf(name, size, "GPU %d", device - 5);
    return 0;
}

int cuDeviceTotalMem_v2(size_t *size, int device) {
    *size = (size_t)(device - 4) * 80000000000;
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 9 : attribute == 76 ? device - 5 : -1;
    return 0;
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
    int code = number("FAKE_CONTEXT");
    if (!code) {
        held++;
        *context = &held;
    }
    (void)device;
    return code;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    (void)device;
    held--;
    return 0;
}

int cuCtxPushCurrent_v2(void *context) {
    if (context != &held) return 1;
    pushed++;
    return 0;
}

int cuCtxPopCurrent_v2(void **context) {
    *context = &held;
    pushed--;
    return 0;
}

int cuMemGetInfo_v2(size_t *free, size_t *total) {
    if (!pushed) return 201; /* no context */
    *free = 70000000000;
    *total = 80000000000;
    return 0;
}

int left_open(void) { return held + pushed; }
