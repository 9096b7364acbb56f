/* A pool of threads for short loops, one after the other, on a machine that does other things too.

   OpenMP's loops end when every thread has arrived. Where another process has taken a core, each loop then waits for the system to give
   it back, some milliseconds; a pass of a model has over a hundred loops, and one took ten times as long beside a build. Here a loop ends
   when its pieces are done: who calls takes pieces too, and a thread that is not there is waited for only while it holds one. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sched.h>
#include <time.h>
#include <omp.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

#define MOST_THREADS 256
#define MOST_PIECES ((int64_t)1 << 24)
#define SPIN_NANOSECONDS 300000

typedef void (*piece_function)(void *context, int64_t piece);

static struct {
  piece_function run;
  void *context;
  _Atomic int64_t done;
} job;

/* Which job (16 bits), of how many pieces, and the next of them (24 bits each): whoever adds one has taken that piece, if it is below the
   count. Only then may the job be looked at, which lives until all of its pieces are done. */
static _Atomic uint64_t ticket;
static _Atomic int sleeping;
static pthread_mutex_t one_caller = PTHREAD_MUTEX_INITIALIZER, waking = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t awake = PTHREAD_COND_INITIALIZER;
static int wanted, started = 1;

#define PIECES(T) ((int64_t)((T) >> 24 & 0xFFFFFF))
#define NEXT(T) ((int64_t)((T) & 0xFFFFFF))

static int take_piece(void) {
  uint64_t t = atomic_load(&ticket);
  if (NEXT(t) >= PIECES(t)) return 0;
  t = atomic_fetch_add(&ticket, 1);
  if (NEXT(t) >= PIECES(t)) return 0;
  job.run(job.context, NEXT(t));
  atomic_fetch_add(&job.done, 1);
  return 1;
}

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *help(void *unused) {
  (void)unused;
  for (;;) {
    int64_t since = nanoseconds();
    for (int n = 1;; n++) {
      if (take_piece()) {
        n = 0;
        since = nanoseconds();
        continue;
      }
      PAUSE();
      if (n % 64 == 0 && nanoseconds() - since > SPIN_NANOSECONDS) break;
    }
    pthread_mutex_lock(&waking);
    atomic_fetch_add(&sleeping, 1);
    for (uint64_t t = atomic_load(&ticket); NEXT(t) >= PIECES(t); t = atomic_load(&ticket)) pthread_cond_wait(&awake, &waking);
    atomic_fetch_sub(&sleeping, 1);
    pthread_mutex_unlock(&waking);
  }
  return 0;
}

/* How many threads take part, the caller's included; 0 for as many as OpenMP would. */
void set_threads(int count) { wanted = count < MOST_THREADS ? count : MOST_THREADS; }

int count_threads(void) { return wanted > 0 ? wanted : omp_get_max_threads(); }

static void serially(piece_function run, void *context, int64_t pieces) {
  for (int64_t i = 0; i < pieces; i++) run(context, i);
}

/* run(context, piece) for every piece, on any thread, in any order. Callers at the same time do theirs alone. */
void in_parallel(piece_function run, void *context, int64_t pieces) {
  int threads = count_threads();
  if (pieces < 2 || threads < 2 || pieces >= MOST_PIECES - MOST_THREADS || pthread_mutex_trylock(&one_caller)) {
    serially(run, context, pieces);
    return;
  }
  for (pthread_t thread; started < threads; started++) {
    if (pthread_create(&thread, 0, help, 0)) break;
    pthread_detach(thread);
  }
  job.run = run;
  job.context = context;
  atomic_store(&job.done, 0);
  uint64_t number = (atomic_load(&ticket) >> 48) + 1;
  atomic_store(&ticket, number << 48 | (uint64_t)pieces << 24);
  if (atomic_load(&sleeping)) {
    pthread_mutex_lock(&waking);
    pthread_cond_broadcast(&awake);
    pthread_mutex_unlock(&waking);
  }
  while (take_piece()) {
  }
  for (int n = 1; atomic_load(&job.done) < pieces; n++) {
    PAUSE();
    if (n % 4096 == 0) sched_yield();
  }
  pthread_mutex_unlock(&one_caller);
}
