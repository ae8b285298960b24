/* What nodes say: one row per dialect, formats with the text and the tag in this order. As Ollama writes them
 * (ollama-api 1.3 to 1.7), shortened to what anybody looks at. */
#include "tongue.h"
#include "base/types.h"
#include <stdio.h>
#include <stdlib.h>

#define SSE(json)         "data: " json "\n\n"
#define EVENT(name, json) "event: " name "\ndata: " json "\n\n"
#define STAMP             "\"created_at\":\"2026-01-01T00:00:00Z\""
#define FIGURES                                                                                                        \
    "\"done\":true,\"done_reason\":\"stop\",\"total_duration\":9,\"load_duration\":1,\"prompt_eval_count\":5,"         \
    "\"prompt_eval_duration\":2,\"eval_count\":3,\"eval_duration\":4"
#define CHUNK "\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"llama3\""
#define PIECE "\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"model\":\"llama3\""

static const struct {
    const char *path, *record, *done, *error, *hollow, *whole;
    bool sse, streams_unasked;
    const char *proof;
} rows[TONGUES] = {
    [CHAT] = {.path = "/api/chat",
              .record = "{\"model\":\"llama3\"," STAMP ",\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
                         "\"done\":false,\"tag\":\"%s\"}\n",                           .done = "{\"model\":\"llama3\"," STAMP ",\"message\":{\"role\":\"assistant\",\"content\":\"\"}," FIGURES
                       ",\"tag\":\"%s\"}\n",                                                             .error = "{\"error\":\"%s\"}\n",
              .whole = "{\"model\":\"llama3\"," STAMP
                        ",\"message\":{\"role\":\"assistant\",\"content\":\"%s\"}," FIGURES ",\"tag\":\"%s\"}",
              .streams_unasked = true,
              .proof = "\"done\":true" },
    [GENERATE] = { .path = "/api/generate",
              .record = "{\"model\":\"llama3\"," STAMP ",\"response\":\"%s\",\"done\":false,\"tag\":\"%s\"}\n",
              .done = "{\"model\":\"llama3\"," STAMP ",\"response\":\"\"," FIGURES ",\"tag\":\"%s\"}\n",
              .error = "{\"error\":\"%s\"}\n",
              .whole = "{\"model\":\"llama3\"," STAMP ",\"response\":\"%s\"," FIGURES ",\"tag\":\"%s\"}",
              .streams_unasked = true,
              .proof = "\"done\":true" },
    [STATUS] = { .path = "/api/pu",                                     /* pull and push */
                 .record = "{\"status\":\"%s\",\"tag\":\"%s\"}\n",
              .done = "{\"status\":\"success\",\"tag\":\"%s\"}\n",
              .error = "{\"error\":\"%s\"}\n",
              .whole = "{\"status\":\"success\",\"said\":\"%s\",\"tag\":\"%s\"}",
              .streams_unasked = true,
              .proof = "\"success\"" },
    [V1_CHAT] = { .path = "/v1/chat/completions",
              .record = SSE("{" CHUNK ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},"
                                "\"finish_reason\":null}],\"tag\":\"%s\"}"),
              .done = SSE("{" CHUNK ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
                              "\"tag\":\"%s\"}") "data: [DONE]\n\n",
              .error = SSE("{\"error\":{\"message\":\"%s\",\"type\":\"api_error\"}}"),
              .hollow =
                      SSE("{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"\",\"choices\":"
                          "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                          "\"finish_reason\":null}]}"),
              .whole = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"model\":\"llama3\",\"choices\":"
                           "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
                           "\"finish_reason\":\"stop\"}],\"tag\":\"%s\"}",                                      .sse = true,
              .proof = "data: [DONE]\n\n" },
    [V1_COMPLETIONS] = { .path = "/v1/completions",
              .record = SSE("{" PIECE ",\"choices\":[{\"index\":0,\"text\":\"%s\",\"finish_reason\":null}],"
                                       "\"tag\":\"%s\"}"),
              .done = SSE("{" PIECE ",\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}],"
                                     "\"tag\":\"%s\"}") "data: [DONE]\n\n",
              .error = SSE("{\"error\":{\"message\":\"%s\",\"type\":\"api_error\"}}"),
              .hollow = SSE("{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"model\":\"\",\"choices\":"
                                       "[{\"index\":0,\"text\":\"\",\"finish_reason\":null}]}"),
              .whole = "{" PIECE ",\"choices\":[{\"index\":0,\"text\":\"%s\",\"finish_reason\":\"stop\"}],"
                                  "\"tag\":\"%s\"}",                                  .sse = true,
              .proof = "data: [DONE]\n\n" },
    [V1_RESPONSES] = { .path = "/v1/responses",
              .record = EVENT("response.output_text.delta", "{\"type\":\"response.output_text.delta\","
                                                                     "\"delta\":\"%s\",\"tag\":\"%s\"}"),
              .done = EVENT("response.completed",                                                                                                                                                  "{\"type\":\"response.completed\",\"response\":{\"status\":"
                                                           "\"completed\"},\"tag\":\"%s\"}"),
              .error = EVENT("error",                                                                "{\"type\":\"error\",\"message\":\"%s\"}"),
              .whole =
                           "{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"output\":[\"%s\"],"
                           "\"tag\":\"%s\"}", .sse = true,
              .proof = "event: response.completed\n" },
    [V1_MESSAGES] = { .path = "/v1/messages",
              .record =
                          EVENT("content_block_delta",                            "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
                                                       "{\"type\":\"text_delta\",\"text\":\"%s\"},\"tag\":\"%s\"}"),
              .done = EVENT("message_stop",                                                                                                                                                     "{\"type\":\"message_stop\",\"tag\":\"%s\"}"),
              .error =
                          EVENT("error",                                                                     "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"%s\"}}"),
              .whole = "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
                               "\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"tag\":\"%s\"}", .sse = true,
              .proof = "event: message_stop\n" },
    [OTHER] = { .path = "/",
              .record = "{\"text\":\"%s\",\"tag\":\"%s\"}\n",
              .done = "{\"tag\":\"%s\"}\n",
              .error = "{\"error\":\"%s\"}\n",
              .whole = "{\"text\":\"%s\",\"tag\":\"%s\"}",
              .proof = "{"                                                   },
};

enum tongue tongue_of(struct str path)
{
    enum tongue t = CHAT;
    while (t < OTHER && !str_starts(path, str_of(rows[t].path)))
        t++;
    return t;
}

bool tongue_is_sse(enum tongue t)
{
    return rows[t].sse;
}

bool tongue_streams(enum tongue t, struct str body)
{
    if (t == OTHER)
        return false;
    return rows[t].streams_unasked
               ? str_find(body, STR("\"stream\":false")) < 0 && str_find(body, STR("\"stream\": false")) < 0
               : str_find(body, STR("\"stream\":true")) >= 0 || str_find(body, STR("\"stream\": true")) >= 0;
}

static char *said(const char *format, const char *first, const char *second)
{
    char *text = NULL;
    int n = asprintf(&text, format ? format : "", first, second);
    assume(n >= 0);
    return text;
}

char *tongue_record(enum tongue t, const char *text, const char *tag)
{
    return said(rows[t].record, text, tag);
}
char *tongue_done(enum tongue t, const char *tag)
{
    return said(rows[t].done, tag, "");
}
char *tongue_error(enum tongue t, const char *text)
{
    return said(rows[t].error, text, "");
}
char *tongue_hollow(enum tongue t)
{
    return said(rows[t].hollow, "", "");
}
char *tongue_whole(enum tongue t, const char *text, const char *tag)
{
    return said(rows[t].whole, text, tag);
}

static const struct {
    bool sse;
    const char *begins;
} errors[] = {
    {false, "{\"error\":"             },
    { true, "data: {\"error\":"       },
    { true, "event: error\n"          },
    { true, "event: response.failed\n"},
};

bool tongue_is_error(enum tongue t, struct str record)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].sse == rows[t].sse && str_starts(record, str_of(errors[i].begins)))
            return true;
    return false;
}

bool tongue_may_be_error(enum tongue t, struct str part)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].sse == rows[t].sse &&
            str_starts(str_of(errors[i].begins), str_take(part, strlen(errors[i].begins))))
            return true;
    return false;
}

/* The last record is looked at: "done":true in a text does not count. */
bool tongue_is_ended(enum tongue t, struct str body)
{
    struct str end = rows[t].sse ? STR("\n\n") : STR("\n");
    if (!str_ends(body, end))
        return false;
    size_t from = body.n - end.n;
    while (from > 0 && !str_ends(str_take(body, from), end))
        from--;
    struct str last = str_drop(body, from);
    return tongue_is_error(t, last) || str_find(last, str_of(rows[t].proof)) >= 0;
}
