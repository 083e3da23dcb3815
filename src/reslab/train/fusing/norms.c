/* BatchNorm over a batch's own statistics, with the addition and the ReLU after it, forward and backward.

   The numbers of a batch lie as rows of C channels (channels last), bf16 with -DBF16, else float. They are taken in
   panels of W numbers, the larger of C and 64, whose count is `panels`: of 16 or 32 channels, a panel holds some rows,
   and what belongs to a channel is repeated. Sums are taken over `parts` parts of the panels and added in order, so
   they do not depend on the number of threads, each of which takes the parts from `first` up to `last`. */

#include <stdint.h>
#include <string.h>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#define WIDEST 4096 /* channels, at most */
#define GROUP 64    /* numbers whose sums are kept in registers: four lanes */
#define LANES (GROUP / 16)
#define BLOCK 256   /* panels whose sum is taken in float */

typedef float lane __attribute__((vector_size(64)));
typedef uint32_t bits __attribute__((vector_size(64)));

#ifdef BF16
typedef uint16_t number;
typedef uint16_t halves __attribute__((vector_size(32)));
static inline lane load(const number *from) {
    halves h;
    memcpy(&h, from, sizeof h);
    return (lane)(__builtin_convertvector(h, bits) << 16);
}
#ifdef __AVX512BF16__
static inline void store(number *to, lane f) {
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh((__m512)f));
}
#else
static inline void store(number *to, lane f) { /* to the nearest, ties to even; NaN stays NaN */
    bits u = (bits)f, odd = (u >> 16) & 1, nan = (bits)(f != f);
    halves h = __builtin_convertvector((((u + 0x7fff + odd) & ~nan) | (0x7fc00000u & nan)) >> 16, halves);
    memcpy(to, &h, sizeof h);
}
#endif
static float value(number h) {
    union { uint32_t u; float f; } v = {(uint32_t)h << 16};
    return v.f;
}
#else
typedef float number;
static inline lane load(const number *from) {
    lane f;
    memcpy(&f, from, sizeof f);
    return f;
}
static inline void store(number *to, lane f) { memcpy(to, &f, sizeof f); }
static float value(number f) { return f; }
#endif

static inline lane of(const float *from) {
    lane f;
    memcpy(&f, from, sizeof f);
    return f;
}
static inline lane without(lane f, bits mask) { return (lane)((bits)f & ~mask); } /* 0 where the mask is */

static int64_t width(int64_t C) { return C < GROUP ? GROUP : C; }
static void repeated(float *to, const float *from, int64_t C) {
    for (int64_t k = 0; k < width(C); k += C) memcpy(to + k, from, C * sizeof *to);
}
static void added(double *sums, const lane *block, int64_t C) { /* of one group, to those of its channels */
    float each[GROUP];
    memcpy(each, block, sizeof each);
    int64_t n = C < GROUP ? C : GROUP;
    for (int64_t k = 0; k < GROUP; k += n)
        for (int64_t c = 0; c < n; c++) sums[c] += each[k + c];
}

/* sums: of each part, C of x - x[0] and C of its square; x[0] keeps a large mean from taking all digits */
void moments(const number *x, int64_t panels, int64_t C, int64_t first, int64_t last, int64_t parts, double *sums) {
    float own[WIDEST], pivot[WIDEST];
    for (int64_t c = 0; c < C; c++) own[c] = value(x[c]);
    repeated(pivot, own, C);
    memset(sums + 2 * C * first, 0, 2 * C * (last - first) * sizeof *sums);
    int64_t W = width(C);
    for (int64_t p = first; p < last; p++)
        for (int64_t at = panels * p / parts, end = panels * (p + 1) / parts; at < end; at += BLOCK)
            for (int64_t c = 0; c < W; c += GROUP) {
                lane s[LANES] = {0}, q[LANES] = {0};
                for (int64_t i = at; i < at + BLOCK && i < end; i++)
                    for (int k = 0; k < LANES; k++) {
                        lane d = load(x + i * W + c + 16 * k) - of(pivot + c + 16 * k);
                        s[k] += d;
                        q[k] += d * d;
                    }
                double *out = sums + 2 * C * p + c;
                added(out, s, C), added(out + C, q, C);
            }
}

/* found: C each of the mean, 1 / sqrt(variance + eps), and a, b of y = a x + b; moves the running statistics */
void settle(const number *x, int64_t rows, int64_t C, int64_t parts, const double *sums, const float *weight,
            const float *bias, double eps, double momentum, float *running_mean, float *running_var, float *found) {
    for (int64_t c = 0; c < C; c++) {
        double s = 0, q = 0;
        for (int64_t p = 0; p < parts; p++) s += sums[2 * C * p + c], q += sums[2 * C * p + C + c];
        double shift = s / rows, mean = value(x[c]) + shift, squares = q - s * shift;
        squares = squares < 0 ? 0 : squares;
        float scale = (float)(1 / __builtin_sqrt(squares / rows + eps)), a = weight[c] * scale;
        found[c] = (float)mean;
        found[C + c] = scale;
        found[2 * C + c] = a;
        found[3 * C + c] = bias[c] - (float)mean * a;
        if (running_mean) {
            running_mean[c] = (float)((1 - momentum) * running_mean[c] + momentum * mean);
            running_var[c] = (float)((1 - momentum) * running_var[c] + momentum * squares / (rows - 1));
        }
    }
}

/* y = a x + b (+ skip), and of that what is above 0 if relu */
void apply(const number *x, const number *skip, number *y, int64_t panels, int64_t C, const float *found, int relu,
           int64_t first, int64_t last, int64_t parts) {
    float a[WIDEST], b[WIDEST];
    repeated(a, found + 2 * C, C), repeated(b, found + 3 * C, C);
    bits never = (bits){0} - !relu; /* no bit if relu, else all: what the ReLU does not take */
    int64_t W = width(C), end = panels * last / parts;
    for (int64_t i = panels * first / parts; i < end; i++)
        for (int64_t c = 0; c < W; c += 16) {
            lane z = of(a + c) * load(x + i * W + c) + of(b + c);
            if (skip) z += load(skip + i * W + c);
            store(y + i * W + c, without(z, (bits)(z < 0) & ~never));
        }
}

/* sums: of each part, C of h and C of h (x - mean), where h is what of the gradient g passes the ReLU: where y > 0 if
   y is given, where a x + b > 0 otherwise, all of it without relu. With y, h is written to passed. */
void sums(const number *g, const number *x, const number *y, number *passed, int64_t panels, int64_t C,
          const float *found, int relu, int64_t first, int64_t last, int64_t parts, double *to) {
    float mean[WIDEST], a[WIDEST], b[WIDEST];
    repeated(mean, found, C), repeated(a, found + 2 * C, C), repeated(b, found + 3 * C, C);
    memset(to + 2 * C * first, 0, 2 * C * (last - first) * sizeof *to);
    int64_t W = width(C);
    for (int64_t p = first; p < last; p++)
        for (int64_t at = panels * p / parts, end = panels * (p + 1) / parts; at < end; at += BLOCK)
            for (int64_t c = 0; c < W; c += GROUP) {
                lane s[LANES] = {0}, q[LANES] = {0};
                for (int64_t i = at; i < at + BLOCK && i < end; i++)
                    for (int k = 0; k < LANES; k++) {
                        int64_t o = i * W + c + 16 * k, e = c + 16 * k;
                        lane u = load(x + o), h = load(g + o);
                        if (y) {
                            h = without(h, (bits)(load(y + o) <= 0));
                            store(passed + o, h);
                        } else if (relu)
                            h = without(h, (bits)(of(a + e) * u + of(b + e) <= 0));
                        s[k] += h;
                        q[k] += h * (u - of(mean + e));
                    }
                double *out = to + 2 * C * p + c;
                added(out, s, C), added(out + C, q, C);
            }
}

/* slopes: C each of the gradients of weight and bias, and k, l of the gradient a h + k (x - mean) + l of x */
void settle_gradient(int64_t rows, int64_t C, int64_t parts, const double *sums, const float *found, float *slopes) {
    for (int64_t c = 0; c < C; c++) {
        double s = 0, q = 0, scale = found[C + c], a = found[2 * C + c];
        for (int64_t p = 0; p < parts; p++) s += sums[2 * C * p + c], q += sums[2 * C * p + C + c];
        slopes[c] = (float)(q * scale);
        slopes[C + c] = (float)s;
        slopes[2 * C + c] = (float)(-a * scale * scale * q / rows);
        slopes[3 * C + c] = (float)(-a * s / rows);
    }
}

/* dx = a h + k (x - mean) + l; h is g, or with relu what of it passes where a x + b > 0 */
void gradient(const number *g, const number *x, number *dx, int64_t panels, int64_t C, const float *found,
              const float *slopes, int relu, int64_t first, int64_t last, int64_t parts) {
    float mean[WIDEST], a[WIDEST], b[WIDEST], k[WIDEST], l[WIDEST];
    repeated(mean, found, C), repeated(a, found + 2 * C, C), repeated(b, found + 3 * C, C);
    repeated(k, slopes + 2 * C, C), repeated(l, slopes + 3 * C, C);
    int64_t W = width(C), end = panels * last / parts;
    for (int64_t i = panels * first / parts; i < end; i++)
        for (int64_t c = 0; c < W; c += 16) {
            lane u = load(x + i * W + c), h = load(g + i * W + c);
            if (relu) h = without(h, (bits)(of(a + c) * u + of(b + c) <= 0));
            store(dx + i * W + c, of(a + c) * h + of(k + c) * (u - of(mean + c)) + of(l + c));
        }
}
