/* Calls as a name, a separator and arguments in JSON:
 *
 *   [TOOL_CALLS]name[CALL_ID]id[ARGS]{…}                          Mistral (also the array of old)
 *   <｜tool▁call▁begin｜>name<｜tool▁sep｜>{…}                     DeepSeek V3.1
 *   <｜tool▁call▁begin｜>function<｜tool▁sep｜>name\n```json\n{…}\n```   DeepSeek V3, R1
 *   <|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{…}  Kimi K2, the whole is the
 * id
 *
 * The marker in front is the frame's, what follows the arguments too. The call begins at the
 * arguments' brace; before it everything may still be text. Thread: the choice's. */
#include <string.h>

#include "parse_int.h"

enum { N_START, N_NAME, N_SECOND_NAME, N_ARGS_START, N_FENCE, N_ARGS };
enum { MAX_HEAD = API_MAX_NAME + API_MAX_CALL_ID + 64 };

void named_init(api_parser *p) {
    memset(&p->m.named, 0, sizeof p->m.named);
}

static bool set(char *to, size_t *n, size_t max, pgd_sv s) {
    if (s.n > max) return false;
    memcpy(to, s.p ? s.p : "", s.n);
    *n = s.n;
    return true;
}

/* "functions.name:0": that is the call's id, the name is inside. */
static pgd_sv split_indexed(api_parser *p, pgd_sv head) {
    const pgd_sv prefix = PGD_SV("functions.");
    if (!pgd_sv_starts(head, prefix)) return head;
    size_t end = head.n;
    while (end && head.p[end - 1] >= '0' && head.p[end - 1] <= '9')
        end--;
    if (end == head.n || end <= prefix.n || head.p[end - 1] != ':') return head;
    (void)set(p->id, &p->id_len, API_MAX_CALL_ID, head);
    return (pgd_sv){head.p + prefix.n, end - 1 - prefix.n};
}

static step take_name(api_parser *p, size_t sep_len) {
    pgd_sv head = parse_trimmed((pgd_sv){p->word.p, p->word.n - sep_len});
    const pgd_sv id_mark = PGD_SV("[CALL_ID]");
    const size_t at = pgd_sv_find(head, id_mark, 0);
    if (at != SIZE_MAX) {
        const pgd_sv id = {head.p + at + id_mark.n, head.n - at - id_mark.n};
        if (!set(p->id, &p->id_len, API_MAX_CALL_ID, parse_trimmed(id))) return STEP_FAIL;
        head = parse_trimmed((pgd_sv){head.p, at});
    }
    if (!p->id_len) head = split_indexed(p, head);
    if (!set(p->name, &p->name_len, API_MAX_NAME, head)) return STEP_FAIL;
    p->m.named.state = pgd_sv_eq(head, PGD_SV("function")) ? N_SECOND_NAME : N_ARGS_START;
    pgd_buf_clear(&p->word);
    return STEP_MORE;
}

static step open_args(api_parser *p, char c) {
    if (c != '{' || !parse_begin_call(p)) return STEP_FAIL;
    p->m.named.state = N_ARGS;
    jscan_init(&p->m.named.scan);
    return parse_json_args(p, &p->m.named.scan, c);
}

static step name_byte(api_parser *p, char c) {
    if (c == '{') { /* some leave the separator out */
        const step s = take_name(p, 0);
        return s == STEP_FAIL ? s : open_args(p, c);
    }
    parse_hold(p, &p->word, c);
    if (p->word.n > MAX_HEAD) return STEP_FAIL;
    const char *const *const sep = p->f.tools->sep;
    for (int i = 0; i < 2 && sep[i]; i++)
        if (pgd_sv_ends(pgd_buf_sv(&p->word), pgd_sv_c(sep[i])))
            return take_name(p, strlen(sep[i]));
    return STEP_MORE;
}

static step second_name_byte(api_parser *p, char c) {
    if (c == '{' && !p->word.n) return open_args(p, c); /* a tool that is named "function" */
    if (c != '\n') {
        parse_hold(p, &p->word, c);
        return p->word.n > API_MAX_NAME ? STEP_FAIL : STEP_MORE;
    }
    if (!set(p->name, &p->name_len, API_MAX_NAME, parse_trimmed(pgd_buf_sv(&p->word))))
        return STEP_FAIL;
    pgd_buf_clear(&p->word);
    p->m.named.state = N_ARGS_START;
    return STEP_MORE;
}

static step args_start_byte(api_parser *p, char c) {
    if (parse_white(c)) return STEP_MORE;
    if (c != '`') return open_args(p, c);
    p->m.named.state = N_FENCE;
    pgd_buf_clear(&p->word);
    parse_hold(p, &p->word, c);
    return STEP_MORE;
}

static step fence_byte(api_parser *p, char c) {
    static const char *const fence[] = {"```json\n"};
    parse_hold(p, &p->word, c);
    const int r = parse_match(pgd_buf_sv(&p->word), fence, 1);
    if (r == 0) p->m.named.state = N_ARGS_START;
    return r == -2 ? STEP_FAIL : STEP_MORE;
}

step named_byte(api_parser *p, char c) {
    switch (p->m.named.state) {
    case N_START:
        if (parse_white(c)) return STEP_MORE;
        if (c == '[' || c == '{') { /* the older form */
            p->body = BODY_CALL;
            call_init(p);
            return call_byte(p, c);
        }
        p->m.named.state = N_NAME;
        return name_byte(p, c);
    case N_NAME:
        return name_byte(p, c);
    case N_SECOND_NAME:
        return second_name_byte(p, c);
    case N_ARGS_START:
        return args_start_byte(p, c);
    case N_FENCE:
        return fence_byte(p, c);
    default:
        return parse_json_args(p, &p->m.named.scan, c);
    }
}
