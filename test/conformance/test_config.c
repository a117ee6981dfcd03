/* test/conformance/test_config.c: partners, subscriptions, secrets; meta. */
#include "test/conformance/bed.h"

static void partners(void **state)
{
    struct bed *bed = *state;
    struct partner p, *list;
    size_t n;
    char id[ID_TEXT_MAX];
    OK_OR_DIE(bed, bed->ops->partner_get(bed->b, "default", &bed->a, &p, &bed->err));
    assert_int_equal(p.num, 1);
    struct partner acme = {.num = bed_num(bed), .name = "acme", .created_ms = T0};
    OK_OR_DIE(bed, bed->ops->partner_put(bed->b, &acme, &bed->err));
    struct partner again = {.num = bed_num(bed), .name = "acme", .created_ms = T0 + 1};
    assert_int_equal(bed->ops->partner_put(bed->b, &again, &bed->err), ERR_EXISTS);
    id_text(id, "par", acme.num);
    OK_OR_DIE(bed, bed->ops->partner_get(bed->b, id, &bed->a, &p, &bed->err));
    assert_string_equal(p.name, "acme");
    assert_int_equal(p.created_ms, T0);
    OK_OR_DIE(bed, bed->ops->partner_get(bed->b, "acme", &bed->a, &p, &bed->err));
    assert_int_equal(p.num, acme.num);
    assert_int_equal(bed->ops->partner_get(bed->b, "nobody", &bed->a, &p, &bed->err),
                     ERR_NOT_FOUND);
    OK_OR_DIE(bed, bed->ops->partner_list(bed->b, 0, 10, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "default");
    OK_OR_DIE(bed, bed->ops->partner_list(bed->b, 1, 1, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].name, "acme");
}

static void subscription_keeps_every_column(void **state)
{
    struct bed *bed = *state;
    struct subscription s = bed_sub_of(bed, "full", ORDERED | BLOCK), got;
    char id[ID_TEXT_MAX];
    s.profile = "bondx";
    s.retry = "slow";
    s.rate_per_s = 12.5;
    s.concurrency = 3;
    s.timeout_ms = 7000;
    s.state = SUB_PAUSED;
    s.state_cause = "operator";
    s.state_since_ms = T0 + 1;
    s.resume_at_ms = T0 + 2;
    s.broken_since_ms = T0 + 3;
    s.bearer = "token";
    s.headers = "{\"X-A\":\"b\"}";
    OK_OR_DIE(bed, bed->ops->sub_put(bed->b, &s, &bed->err));
    id_text(id, "sub", s.num);
    OK_OR_DIE(bed, bed->ops->sub_get(bed->b, id, &bed->a, &got, &bed->err));
    assert_string_equal(got.name, "full");
    assert_int_equal(got.partner, 1);
    assert_string_equal(got.partner_name, "default");
    assert_string_equal(got.url, s.url);
    assert_string_equal(got.patterns, s.patterns);
    assert_string_equal(got.profile, "bondx");
    assert_string_equal(got.retry, "slow");
    assert_true(got.rate_per_s > 12.49 && got.rate_per_s < 12.51);
    assert_int_equal(got.concurrency, 3);
    assert_int_equal(got.timeout_ms, 7000);
    assert_true(got.ordered && got.on_dead_block);
    assert_int_equal(got.state, SUB_PAUSED);
    assert_string_equal(got.state_cause, "operator");
    assert_int_equal(got.state_since_ms, T0 + 1);
    assert_int_equal(got.resume_at_ms, T0 + 2);
    assert_int_equal(got.broken_since_ms, T0 + 3);
    assert_string_equal(got.bearer, "token");
    assert_string_equal(got.headers, s.headers);
    assert_int_equal(got.created_ms, T0);
    assert_int_equal(got.revision, 1);
    assert_int_equal(got.secrets_n, 0);
}

static void subscription_update(void **state)
{
    struct bed *bed = *state;
    int64_t num = bed_sub(bed, "one", 0);
    bed_sub(bed, "two", 0);
    struct subscription s = bed_sub_get(bed, num), got;
    assert_null(s.bearer);
    s.url = "https://other.example/";
    s.bearer = "new";
    s.created_ms = 1;
    s.revision = 70;
    s.updated_ms = T0 + 9;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &s, &bed->err));
    got = bed_sub_get(bed, num);
    assert_string_equal(got.url, "https://other.example/");
    assert_string_equal(got.bearer, "new");
    assert_int_equal(got.created_ms, T0); /* not updated */
    assert_int_equal(got.revision, 2);    /* one more than it was */
    assert_int_equal(got.updated_ms, T0 + 9);
    s.name = "two";
    assert_int_equal(bed->ops->sub_update(bed->b, &s, &bed->err), ERR_EXISTS);
    assert_string_equal(bed_sub_get(bed, num).name, "one");
    s.num = 9999;
    s.name = "three";
    assert_int_equal(bed->ops->sub_update(bed->b, &s, &bed->err), ERR_NOT_FOUND);
}

static void deleted_subscription_frees_its_name(void **state)
{
    struct bed *bed = *state;
    int64_t old = bed_sub(bed, "phoenix", 0);
    struct subscription s = bed_sub_of(bed, "phoenix", 0), got, *list;
    char id[ID_TEXT_MAX];
    size_t n;
    assert_int_equal(bed->ops->sub_put(bed->b, &s, &bed->err), ERR_EXISTS);
    struct subscription gone = bed_sub_get(bed, old);
    gone.state = SUB_DELETED;
    OK_OR_DIE(bed, bed->ops->sub_update(bed->b, &gone, &bed->err));
    OK_OR_DIE(bed, bed->ops->sub_get(bed->b, "phoenix", &bed->a, &got, &bed->err));
    assert_int_equal(got.state, SUB_DELETED);
    id_text(id, "sub", old);
    OK_OR_DIE(bed, bed->ops->sub_get(bed->b, id, &bed->a, &got, &bed->err));
    assert_int_equal(got.state, SUB_DELETED);
    OK_OR_DIE(bed, bed->ops->sub_put(bed->b, &s, &bed->err));
    OK_OR_DIE(bed, bed->ops->sub_get(bed->b, "phoenix", &bed->a, &got, &bed->err));
    assert_int_equal(got.num, s.num);
    OK_OR_DIE(bed, bed->ops->sub_list(bed->b, 0, 10, false, &bed->a, &list, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].num, s.num);
    assert_int_equal(bed->ops->sub_get_num(bed->b, 4242, &bed->a, &got, &bed->err), ERR_NOT_FOUND);
}

static void list_pages(void **state)
{
    struct bed *bed = *state;
    struct subscription *list;
    int64_t after = 0;
    size_t n, all = 0;
    char name[16];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        bed_sub(bed, name, 0);
    }
    do {
        OK_OR_DIE(bed, bed->ops->sub_list(bed->b, after, 3, true, &bed->a, &list, &n, &bed->err));
        for (size_t i = 0; i < n; i++, all++) {
            snprintf(name, sizeof(name), "s%zu", all);
            assert_string_equal(list[i].name, name);
            after = list[i].num;
        }
    } while (n == 3);
    assert_int_equal(all, 10);
}

static void secrets(void **state)
{
    struct bed *bed = *state;
    int64_t sub = bed_sub(bed, "signed", 0), other = bed_sub(bed, "other", 0);
    struct secret a = {.num = bed_num(bed), .value = "whsec_old", .created_ms = T0};
    struct secret b = {.num = bed_num(bed), .value = "whsec_new", .created_ms = T0 + 10};
    struct secret c = {.num = bed_num(bed), .value = "whsec_else", .created_ms = T0};
    struct subscription s, *list;
    size_t n;
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, sub, &a, &bed->err));
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, sub, &b, &bed->err));
    OK_OR_DIE(bed, bed->ops->secret_put(bed->b, other, &c, &bed->err));
    OK_OR_DIE(bed, bed->ops->secret_expire(bed->b, sub, b.num, T0 + 500, &bed->err));
    s = bed_sub_get(bed, sub);
    assert_int_equal(s.secrets_n, 2);
    assert_string_equal(s.secrets[0].value, "whsec_new"); /* newest first */
    assert_int_equal(s.secrets[0].expires_ms, 0);
    assert_int_equal(s.secrets[1].num, a.num);
    assert_int_equal(s.secrets[1].expires_ms, T0 + 500);
    /* "at the latest": one that ends earlier stays as it is */
    OK_OR_DIE(bed, bed->ops->secret_expire(bed->b, sub, b.num, T0 + 900, &bed->err));
    assert_int_equal(bed_sub_get(bed, sub).secrets[1].expires_ms, T0 + 500);
    OK_OR_DIE(bed, bed->ops->secret_expire(bed->b, sub, b.num, T0 + 200, &bed->err));
    assert_int_equal(bed_sub_get(bed, sub).secrets[1].expires_ms, T0 + 200);
    assert_int_equal(bed_sub_get(bed, other).secrets[0].expires_ms, 0);
    OK_OR_DIE(bed, bed->ops->sub_list(bed->b, 0, 10, false, &bed->a, &list, &n, &bed->err));
    assert_int_equal(list[0].secrets_n, 0);
    OK_OR_DIE(bed, bed->ops->sub_list(bed->b, 0, 10, true, &bed->a, &list, &n, &bed->err));
    assert_int_equal(list[0].secrets_n, 2);
    assert_string_equal(list[1].secrets[0].value, "whsec_else");
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_SECRETS, T0 + 199, 10, &n, &bed->err));
    assert_int_equal(n, 0);
    OK_OR_DIE(bed, bed->ops->retain(bed->b, RETAIN_SECRETS, T0 + 201, 10, &n, &bed->err));
    assert_int_equal(n, 1);
    assert_int_equal(bed_sub_get(bed, sub).secrets_n, 1);
}

static void meta(void **state)
{
    struct bed *bed = *state;
    char out[32];
    assert_int_equal(bed->ops->meta_get(bed->b, "k", out, sizeof(out), &bed->err), ERR_NOT_FOUND);
    OK_OR_DIE(bed, bed->ops->meta_set(bed->b, "k", "one", &bed->err));
    OK_OR_DIE(bed, bed->ops->meta_set(bed->b, "k2", "other", &bed->err));
    OK_OR_DIE(bed, bed->ops->meta_set(bed->b, "k", "two, and longer", &bed->err));
    OK_OR_DIE(bed, bed->ops->meta_get(bed->b, "k", out, sizeof(out), &bed->err));
    assert_string_equal(out, "two, and longer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(partners),
        ON_BOTH(subscription_keeps_every_column),
        ON_BOTH(subscription_update),
        ON_BOTH(deleted_subscription_frees_its_name),
        ON_BOTH(list_pages),
        ON_BOTH(secrets),
        ON_BOTH(meta),
    };
    return cmocka_run_group_tests_name("conformance: configuration", tests, NULL, NULL);
}
