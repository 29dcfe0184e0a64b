// Emulates on the processor what the attention kernels use of CUDA: one thread per unit of a cube,
// cubes in sequence. A tensor core's fragment is a whole matrix in each lane of a plane. Lanes wait
// for each other before one of them stores, since on the device the whole plane loads, multiplies
// and stores.

#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <thread>
#include <type_traits>
#include <vector>

typedef unsigned char uint8;
typedef std::int32_t int32;
typedef std::uint32_t uint32;
typedef std::uint64_t uint64;

#define __global__
#define __grid_constant__
#define __launch_bounds__(units)
#define __align__(bytes)
#define __restrict__

struct Place {
    unsigned x = 1, y = 1, z = 1;
};
inline thread_local Place threadIdx;
inline Place blockIdx, blockDim, gridDim;

constexpr unsigned PLANE = 32;
inline std::barrier<> *cube;
inline std::deque<std::barrier<>> planes;
alignas(256) inline unsigned char shared_by_a_cube[227 * 1024];

inline void __syncthreads() { cube->arrive_and_wait(); }
inline void __syncwarp() { planes[threadIdx.x / PLANE].arrive_and_wait(); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline float min(float a, float b) { return std::fmin(a, b); }
using std::exp;
using std::log;
using std::sqrt;

// The nearest number of 8 significant bits, to even on ties.
struct __nv_bfloat16 {
    std::uint16_t bits;
    __nv_bfloat16() = default;
    explicit __nv_bfloat16(float value) {
        std::uint32_t whole;
        std::memcpy(&whole, &value, 4);
        bits = (whole + 0x7fff + ((whole >> 16) & 1)) >> 16;
    }
    operator float() const {
        std::uint32_t whole = std::uint32_t(bits) << 16;
        float value;
        std::memcpy(&value, &whole, 4);
        return value;
    }
};

namespace nvcuda::wmma {
struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

constexpr int SIDE = 16;

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
    static_assert(M == SIDE && N == SIDE && K == SIDE);
    float at[SIDE][SIDE];
};

// Checks a fragment's address and stride, in elements of `bytes`, as the device requires.
inline void check_alignment(const void *from, unsigned stride, unsigned bytes) {
    if (reinterpret_cast<std::uintptr_t>(from) % 32 != 0 || stride * bytes % 16 != 0) {
        std::fprintf(stderr, "a fragment is not aligned\n");
        std::abort();
    }
}

template <class Use, class T, class Layout>
void load_matrix_sync(fragment<Use, SIDE, SIDE, SIDE, T, Layout> &to, const T *from, unsigned stride) {
    check_alignment(from, stride, sizeof(T));
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            to.at[i][j] = std::is_same_v<Layout, row_major> ? float(from[i * stride + j]) : float(from[j * stride + i]);
}

inline void load_matrix_sync(fragment<accumulator, SIDE, SIDE, SIDE, float> &to, const float *from, unsigned stride,
                             layout_t layout) {
    check_alignment(from, stride, sizeof(float));
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++)
            to.at[i][j] = layout == mem_row_major ? from[i * stride + j] : from[j * stride + i];
}

template <class Fragment> void fill_fragment(Fragment &to, float value) {
    for (auto &row : to.at)
        for (float &x : row)
            x = value;
}

template <class A, class B, class C> void mma_sync(C &d, const A &a, const B &b, const C &c) {
    C sums = c;
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++)
            for (int j = 0; j < SIDE; j++)
                sums.at[i][j] += a.at[i][k] * b.at[k][j];
    d = sums;
}

inline void store_matrix_sync(float *to, const fragment<accumulator, SIDE, SIDE, SIDE, float> &from, unsigned stride,
                              layout_t layout) {
    check_alignment(to, stride, sizeof(float));
    __syncwarp();
    if (threadIdx.x % PLANE == 0)
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++)
                to[layout == mem_row_major ? i * stride + j : j * stride + i] = from.at[i][j];
}
} // namespace nvcuda::wmma

// Runs a kernel in every cube of a grid. Shared memory starts with NaNs.
template <class Kernel> void launch(Place grid, unsigned units, Kernel kernel) {
    gridDim = grid;
    blockDim = {units, 1, 1};
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = {x, y, z};
                std::memset(shared_by_a_cube, 0xff, sizeof shared_by_a_cube);
                std::barrier<> all(units);
                cube = &all;
                planes.clear();
                for (unsigned plane = 0; plane < units / PLANE; plane++)
                    planes.emplace_back(PLANE);
                std::vector<std::thread> threads;
                for (unsigned unit = 0; unit < units; unit++)
                    threads.emplace_back([=] {
                        threadIdx = {unit, 0, 0};
                        kernel();
                    });
                for (auto &thread : threads)
                    thread.join();
            }
}

// The floats of a file, or NaNs if it does not exist yet.
inline std::vector<float> floats(const char *path, std::size_t count) {
    std::vector<float> values(count, NAN);
    std::FILE *file = std::fopen(path, "rb");
    if (file && std::fread(values.data(), sizeof(float), count, file) != count)
        std::abort();
    if (file)
        std::fclose(file);
    return values;
}

inline void write(const char *path, const std::vector<float> &values) {
    std::FILE *file = std::fopen(path, "wb");
    if (!file || std::fwrite(values.data(), sizeof(float), values.size(), file) != values.size() || std::fclose(file))
        std::abort();
}
