"""Functions that may not be called, where they are allowed all the same, and what to use instead.

Patterns see the code without comments and strings. A pattern matches a call: NAME followed by "(".
"""

# (names, files or folders where allowed, reason)
CALLS = [
    ("strcpy stpcpy strcat sprintf vsprintf gets strtok", [],
     "no bound: use pgd_buf or snprintf"),
    ("atoi atol atoll atof", [], "no error: use pgd_parse_i64 and its kin"),
    ("rand srand random drand48", [], "hidden state: use pgd_philox4x32 or pgd_rng_next"),
    ("system popen", [], "no shell from C"),
    ("localtime gmtime ctime asctime", [], "not thread-safe: use the _r forms"),
    ("setlocale uselocale", [], "number parsing and printing rest on the C locale"),
    ("alloca setjmp longjmp", [], "style.md rule 1"),
    ("getenv secure_getenv setenv putenv", ["src/app/"], "configuration comes from app alone"),
    ("malloc calloc realloc free strdup strndup posix_memalign aligned_alloc reallocarray",
     ["src/base/mem.c", "tests/", "bench/"], "use pgd_malloc and its kin of mem.h"),
    ("exit _exit quick_exit", ["src/app/", "tests/", "bench/"], "only main ends the process"),
]

# (regular expression, files or folders where allowed, reason)
PATTERNS = [
    (r"\bcJSON_\w+", ["src/base/json.c"], "cJSON lives behind json.h"),
    (r"\bcJSON_GetObjectItem\b", [], "ignores case: walk or use pgd_json_get"),
    (r"\bstrto(?:l|ll|ul|ull|imax|umax)\s*\([^,;]*,\s*NULL", ["tests/", "bench/"],
     "needs an end pointer"),
]
