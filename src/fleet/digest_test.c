/* fleet/digest_test.c - a name means a model only as long as all who have it agree. */
#include "fleet/fleet_fixture.h"

#define ENTRY(name, digest) "{\"name\":\"" name "\",\"model\":\"" name "\",\"digest\":\"" digest "\"}"
#define TAGS(entries)       "{\"models\":[" entries "]}"

static struct machine *node(struct world *w, const char *host, const char *tags)
{
    struct machine *m = world_machine(w, host, "");
    snprintf(m->tags, sizeof m->tags, "%s", tags);
    world_add(w, host);
    world_elapse(w, SECOND(1));
    return m;
}

static struct model_digest digest_of(struct world *w, const char *key)
{
    struct model_digest d;
    fleet_digest(w->f, str_hash(str_of(key)), &d);
    assert_int_equal(d.changed, fleet_models_changed(w->f));
    return d;
}

static void assert_digest(struct world *w, const char *key, const char *want)
{
    struct model_digest d = digest_of(w, key);
    assert_int_equal(d.n, strlen(want));
    assert_memory_equal(d.text, want, d.n);
}

static void one_digest_for_all_who_have_it(void **state)
{
    struct world *w = world_new();
    node(w, "a", TAGS(ENTRY("m:latest", "d1") "," ENTRY("x:latest", "d9")));
    node(w, "b", TAGS(ENTRY("m:latest", "d1")));
    node(w, "c", TAGS(ENTRY("x:latest", "d8")));
    assert_digest(w, KEY("m:latest"), "d1");
    assert_digest(w, KEY("x:latest"), ""); /* they do not agree */
    assert_digest(w, KEY("y:latest"), ""); /* nobody has it */
    assert_true(digest_of(w, KEY("m:latest")).ollama);
    assert_false(digest_of(w, KEY("m:latest")).cloud);
    world_free(w);
}

static void none_without_a_digest_or_with_one_that_is_too_long(void **state)
{
    char longest[128], tags[300];
    struct world *w = world_new();
    memset(longest, 'd', sizeof longest);
    longest[97] = 0;
    snprintf(tags, sizeof tags, TAGS(ENTRY("m:latest", "%s")), longest);
    node(w, "a", TAGS(ENTRY("n:latest", "")));
    node(w, "b", tags);
    assert_digest(w, KEY("m:latest"), "");
    assert_digest(w, KEY("n:latest"), "");
    world_free(w);
}

static void changes_are_told(void **state)
{
    struct world *w = world_new();
    struct machine *a = node(w, "a", TAGS(ENTRY("m:latest", "d1")));
    assert_digest(w, KEY("m:latest"), "d1");
    uint64_t before = fleet_models_changed(w->f);
    world_elapse(w, SECOND(40));
    assert_int_equal(fleet_models_changed(w->f), before);
    snprintf(a->tags, sizeof a->tags, TAGS(ENTRY("m:latest", "d2")));
    world_elapse(w, SECOND(40));
    assert_true(fleet_models_changed(w->f) > before);
    assert_digest(w, KEY("m:latest"), "d2");
    before = fleet_models_changed(w->f);
    orders_init(&w->out);
    assert_int_equal(fleet_remove(w->f, STR("a"), w->now, &w->out), OK);
    carry_out(w);
    assert_true(fleet_models_changed(w->f) > before);
    assert_digest(w, KEY("m:latest"), "");
    world_free(w);
}

static void a_node_that_is_down_still_counts(void **state)
{
    struct world *w = world_new();
    node(w, "a", TAGS(ENTRY("m:latest", "d1")));
    struct machine *b = node(w, "b", TAGS(ENTRY("m:latest", "d2")));
    b->fails = FAIL_connect_refused;
    world_elapse(w, SECOND(30));
    assert_int_equal(node_at(w, "b")->state, NODE_DOWN);
    assert_digest(w, KEY("m:latest"), "");
    world_free(w);
}

static void other_kinds_are_told_apart(void **state)
{
    struct world *w = world_new();
    struct machine *a = world_machine(w, "a", "m:latest");
    a->kind = NODE_VLLM;
    world_add(w, "a");
    assert_digest(w, KEY("m:latest"), "d1");
    assert_false(digest_of(w, KEY("m:latest")).ollama);
    world_free(w);
}

int main(void)
{
    pools_init();
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_digest_for_all_who_have_it),
        cmocka_unit_test(none_without_a_digest_or_with_one_that_is_too_long),
        cmocka_unit_test(changes_are_told),
        cmocka_unit_test(a_node_that_is_down_still_counts),
        cmocka_unit_test(other_kinds_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
