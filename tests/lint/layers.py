"""The one-way rule as tables: which module may include what. docs/architecture.md tells why.

A new module, public header or library needs a row here, which is the place to argue about it.
"""

# Module -> modules whose public headers it may include (its own are always allowed).
# plan is no folder but the contract between engine, exec and device: plain data, no code.
MODULES = {
    "base": [],
    "tensor": ["base"],
    "quant": ["tensor", "base"],
    "model": ["quant", "tensor", "base"],
    "text": ["base"],
    "grammar": ["base"],
    "kv": ["base"],
    "comm": ["base"],
    "plan": ["base"],
    "device": ["comm", "quant", "tensor", "plan", "base"],
    "exec": ["device", "model", "comm", "quant", "tensor", "plan", "base"],
    "engine": ["kv", "exec", "grammar", "plan", "base"],
    "api": ["engine", "model", "text", "grammar", "plan", "base"],
    "http": ["api", "base"],
    "web": ["http", "base"],  # bytes that http serves: http knows pages, not which
    "bench": ["text", "base"],  # text: to count tokens as a server would
    "cli": ["text", "base"],  # text: pagoda tokenize
    "app": ["cli", "bench", "web", "http", "api", "engine", "exec", "kv", "model", "device", "comm",
            "quant", "tensor", "plan", "text", "grammar", "base"],
}

# Public header (include/pagoda/NAME.h) -> the module that owns it.
HEADERS = {
    "base": "status mem arena str json jsonw map hash rng clock log metrics queue pool fs cpu",
    "tensor": "tensor",
    "quant": "quant",
    "model": "model",
    "text": "tokenizer chat jinja",
    "grammar": "grammar",
    "kv": "kv",
    "comm": "comm",
    "device": "device ops",
    "plan": "plan sampling",
    "exec": "exec",
    "engine": "engine request",
    "api": "api",
    "http": "http",
    "web": "web",
    "bench": "bench",
    "cli": "cli",
    "app": "config",
}
OWNER = {name: module for module, names in HEADERS.items() for name in names.split()}

# Headers that a module may not include although the table above would let it.
FORBIDDEN = {
    "engine": ["json", "jsonw"],  # requests arrive as typed fields
}

# Third-party header -> the files (or folders, ending in /) that may include it.
THIRD_PARTY = {
    "cjson/cJSON.h": ["src/base/json.c"],
    "xxhash.h": ["src/base/hash.c"],
    "sodium.h": ["src/base/hash.c"],
    "pcre2.h": ["src/text/"],
    "utf8proc.h": ["src/text/", "src/grammar/unicode.c"],
    "yaml.h": ["src/app/config_yaml.c"],
    "uv.h": ["src/http/", "src/bench/", "src/app/daemon.c"],
    "microhttpd.h": ["src/http/"],
    "cmocka.h": ["tests/"],
    "setjmp.h": ["tests/"],
    "cuda.h": ["kernels/"],  # types of tensor maps
    "cudaTypedefs.h": ["kernels/"],
    "cuda_runtime.h": ["src/device/cuda/", "kernels/", "tests/kernels/"],
    "cuda_bf16.h": ["kernels/", "tests/kernels/"],
    "cuda_fp16.h": ["kernels/", "tests/kernels/"],
    "algorithm": ["tests/kernels/"],
    "functional": ["tests/kernels/"],
    "memory": ["tests/kernels/"],
    "string": ["tests/kernels/"],
    "type_traits": ["kernels/", "tests/kernels/"],
    "vector": ["tests/kernels/"],
    "cuda_fp8.h": ["kernels/"],
    "cublasLt.h": ["tests/kernels/"],
    "nccl.h": ["src/device/cuda/cuda_comm.c"],
    "cblas.h": ["bench/"],
    "dnnl.h": ["bench/"],
    "omp.h": ["bench/"],
}

# Headers of C, POSIX, Linux and the compiler, free to all. Not threads.h: the thread sanitizer does not
# see a thread that thrd_create made.
SYSTEM = """assert ctype errno fcntl float inttypes limits math poll pthread sched signal stdalign
stdarg stdatomic stdbool stddef stdint stdio stdlib string time unistd dirent dlfcn locale
netdb ftw getopt glob spawn termios immintrin cpuid arm_neon
arpa/inet linux/futex netinet/in netinet/tcp sys/epoll sys/eventfd sys/file sys/ioctl sys/mman
sys/prctl sys/random sys/resource sys/sendfile sys/signalfd sys/socket sys/stat sys/syscall sys/time
sys/timerfd sys/types sys/uio sys/un sys/wait""".split()
SYSTEM = {name + ".h" for name in SYSTEM}
