/* sim/sim_blob.c - blobs: hashed while they arrive, remembered by their digest, not kept.
 *
 * A blob that exists is answered at once, its body unread, and the connection ends: clients of Ollama have to cope with
 * that, and so has the gateway in between. */
#include "sim/sim.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/* "sha256-..." is the same digest. NULL bytes if it is none. */
static struct str digest_of(struct str rest, char out[72])
{
    bool named = str_starts(rest, STR("sha256:")) || str_starts(rest, STR("sha256-"));
    if (!named || rest.n != 71)
        return STR_NONE;
    for (size_t i = 7; i < 71; i++)
        if (!((rest.p[i] >= '0' && rest.p[i] <= '9') || (rest.p[i] >= 'a' && rest.p[i] <= 'f')))
            return STR_NONE;
    memcpy(out, rest.p, 71);
    out[6] = ':';
    out[71] = 0;
    return (struct str){ out, 71 };
}

static bool is_here(struct simnode *n, struct str digest)
{
    list_each (l, &n->blobs)
        if (str_eq(str_of(CONTAINER(l, struct sim_blob, link)->digest), digest))
            return true;
    return false;
}

static bool keep(struct simnode *n, struct str digest)
{
    struct sim_blob *b = is_here(n, digest) ? NULL : calloc(1, sizeof *b);
    if (!b)
        return is_here(n, digest);
    memcpy(b->digest, digest.p, digest.n);
    list_push(&n->blobs, &b->link);
    return true;
}

static void hash_piece(struct sim_client *c, struct str piece)
{
    EVP_DigestUpdate(c->work, piece.p, piece.n);
}

static void stop_hashing(struct sim_client *c)
{
    EVP_MD_CTX_free(c->work);
    c->work = NULL;
    c->work_cancel = NULL;
}

void sim_begin_blob(struct sim_client *c)
{
    char room[72];
    struct str digest = digest_of(c->rest, room);
    if (c->method != M_POST)
        return;
    if (!digest.p) {
        sim_reply_error(c, 400, "invalid digest format");
        return;
    }
    if (is_here(c->node, digest)) {
        sim_reply(c, 200, STR_NONE, STR_NONE);
        return;
    }
    c->work = EVP_MD_CTX_new();
    if (!c->work || !EVP_DigestInit_ex(c->work, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(c->work);
        c->work = NULL;
        sim_reply_fail(c, FAIL_no_memory, STR_NONE);
        return;
    }
    c->work_cancel = stop_hashing;
    c->on_piece = hash_piece;
}

static void answer_head(struct sim_client *c, struct str digest)
{
    int status = !digest.p ? 400 : is_here(c->node, digest) ? 200 : 404;
    sim_reply(c, status, STR_NONE, STR_NONE);
}

void sim_answer_blob(struct sim_client *c, struct str body)
{
    char room[72], hex[72] = "sha256:";
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct str digest = digest_of(c->rest, room);
    if (c->method == M_HEAD) {
        answer_head(c, digest);
        return;
    }
    EVP_DigestFinal_ex(c->work, hash, &n);
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + 7 + (size_t)i * 2, 3, "%02x", hash[i]);
    if (!str_eq(digest, str_of(hex)))
        sim_reply_error(c, 400, "digest mismatch, expected \"%.*s\", got \"%s\"", STR_ARG(digest), hex);
    else if (!keep(c->node, digest))
        sim_reply_fail(c, FAIL_no_memory, STR_NONE);
    else
        sim_reply(c, 201, STR_NONE, STR_NONE);
}
