/* test/fuzz/fuzz_json.c: our check of JSON against jansson, which is stricter in a few known ways: what it accepts, we accept. */
#include <jansson.h>

#include "base/text.h"

#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);
    size_t at = 0;
    const char *problem = text_json_problem(text, n, &at);
    json_error_t why;
    json_t *tree = json_loadb(text, n, JSON_DECODE_ANY, &why);

    check(problem == NULL || at <= n);
    if (tree != NULL && memchr(text, 0, n) == NULL) /* jansson takes a NUL behind "0" for the end */
        check(problem == NULL);
    if (problem == NULL &&
        tree == NULL) { /* numbers beyond a double or 64 bits, \u0000, depth, lone surrogates */
        enum json_error_code code = json_error_code(&why);
        check(code == json_error_numeric_overflow || code == json_error_null_character ||
              code == json_error_null_byte_in_key || code == json_error_stack_overflow ||
              code == json_error_invalid_syntax);
    }
    json_decref(tree);
    free(text);
    return 0;
}
