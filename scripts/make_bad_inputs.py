#!/usr/bin/env python3
"""Writes tests/data/bad_inputs: input files with something wrong in them, each by its name.

    scripts/make_bad_inputs.py

The goldens of tests/cli/bad_inputs hold what `prefold check` says of each. Most files end in a line
that is good, which must still be answered. Needs nothing but Python.
"""
import gzip
import json
import pathlib
import struct

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "bad_inputs"
GOOD = '{"prompt": "Hello", "max_tokens": 1, "temperature": 0}'
FILES = {}


def lines(name, *texts, good=True):
    """A file of text lines; with `good`, a line that can be answered ends it."""
    FILES[name] = "".join(text + "\n" for text in [*texts, *([GOOD] if good else [])]).encode()


def prompt(members):
    return '{"prompt": "x", ' + members + "}"


def openai(body, url="/v1/completions", custom_id=None):
    openai.count += 1
    return json.dumps(
        {"custom_id": custom_id or f"line-{openai.count}", "method": "POST", "url": url, "body": body}
    )


openai.count = 0


def json_files():
    lines("json_not_json", "hello")
    lines("json_python_dict", "{'prompt': 'x'}")
    lines("json_unquoted_key", '{prompt: "x"}')
    lines("json_trailing_comma", '{"prompt": "x",}')
    lines("json_comment", '{"prompt": "x"} // a comment')
    lines("json_two_objects", '{"prompt": "x"} {"prompt": "y"}')
    lines("json_array_line", '["x"]')
    lines("json_other_values", '"x"', "17", "null", "true")
    lines("json_pretty_printed", "{", '  "prompt": "x"', "}")
    lines("json_array_file", "[", '{"prompt": "x"},', '{"prompt": "y"}', "]", good=False)
    lines("json_nan", prompt('"temperature": NaN'), prompt('"temperature": -Infinity'))
    lines("json_number_overflow", prompt('"temperature": 1e999'))
    lines("json_leading_zero", prompt('"max_tokens": 010'))
    lines("json_lone_surrogates", '{"prompt": "\\ud800"}', '{"prompt": "\\udc00x"}')
    lines("json_bad_escape", '{"prompt": "\\x41"}', '{"prompt": "\\u12"}')
    lines("json_control_character", '{"prompt": "a\tb"}')
    lines("json_duplicate_key", '{"prompt": "x", "prompt": "y"}', prompt('"logit_bias": {"5": 1, "5": 2}'))
    lines("json_deep_nesting", '{"prompt": "x", "metadata": ' + "[" * 200 + "]" * 200 + "}")
    FILES["json_cut_off"] = (GOOD + '\n{"prompt": "no end').encode()
    lines("csv", "id,prompt", '1,"Hello"', good=False)


def encoding_files():
    FILES["utf8_invalid"] = b'{"prompt": "\xff"}\n{"prompt": "\xc3"}\n' + GOOD.encode() + b"\n"
    FILES["utf8_overlong"] = b'{"prompt": "\xc0\xaf"}\n' + GOOD.encode() + b"\n"
    FILES["utf8_surrogate"] = b'{"prompt": "\xed\xa0\x80"}\n' + GOOD.encode() + b"\n"
    FILES["latin1"] = '{"prompt": "café"}\n'.encode("latin-1") + GOOD.encode() + b"\n"
    FILES["utf16_little_endian"] = GOOD.encode("utf-16-le").join([b"\xff\xfe", b""])
    FILES["utf16_big_endian"] = GOOD.encode("utf-16-be").join([b"\xfe\xff", b""])
    FILES["utf16_without_mark"] = (GOOD + "\n").encode("utf-16-le")
    FILES["nul_bytes"] = b'\0\0\0\n{"prompt": "a\0b"}\n' + GOOD.encode() + b"\n"
    FILES["bom_in_the_middle"] = ("\ufeff" + GOOD + "\n\ufeff" + GOOD + "\n").encode()
    FILES["line_ends_mixed"] = (GOOD + "\r\n{oops\r\n\n  \r\n" + GOOD + "\n{oops").encode()
    FILES["line_ends_cr"] = (GOOD + "\r" + GOOD + "\r").encode()


def container_files():
    packed = gzip.compress((GOOD + "\n").encode() * 20, mtime=0)
    FILES["gzip_cut_off"] = packed[:-12]
    FILES["gzip_header_only"] = packed[:10]
    FILES["gzip_bad_checksum"] = packed[:-8] + b"\0\0\0\0" + packed[-4:]
    FILES["gzip_bad_data"] = packed[:20] + b"\xff" * 10 + packed[30:]
    FILES["gzip_then_garbage"] = packed + b"garbage"
    text = (GOOD + "\n").encode()
    # RFC 8878: one segment with a checksum and a one-byte size; one raw block, the last.
    frame = b"\x28\xb5\x2f\xfd\x24" + bytes([len(text)]) + struct.pack("<I", 1 | len(text) << 3)[:3] + text
    FILES["zstd_bad_checksum"] = frame + b"\0\0\0\0"
    FILES["zstd_cut_off"] = frame[:-5]
    FILES["zstd_bad_block"] = frame[:6] + b"\x07\0\0" + text
    FILES["xz"] = b"\xfd7zXZ\0\0\x04" + bytes(24)
    FILES["bzip2"] = b"BZh91AY&SY" + bytes(24)
    FILES["zip"] = b"PK\x03\x04" + bytes(26)
    FILES["parquet"] = b"PAR1" + bytes(24) + b"PAR1"
    FILES["png"] = b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\n"
    FILES["empty"] = b""
    FILES["only_blank_lines"] = b"\n \t\r\n\n"


def id_files():
    lines("id_types", *(f'{{"id": {value}, "prompt": "x"}}' for value in
                        ['""', "true", "1.5", "[1]", "{}", "123456789012345678901234567890"]))
    lines("id_too_long", json.dumps({"id": "x" * 513, "prompt": "x"}))
    lines("id_twice", '{"id": "same", "prompt": "x"}', '{"id": "same", "prompt": "y"}',
          '{"id": 5, "prompt": "x"}', '{"id": "5", "prompt": "x"}', openai({"prompt": "x"}, custom_id="same"))
    lines("id_twice_first_bad", '{"id": "again", "prompt": 5}', '{"id": "again", "prompt": "x"}')
    lines("custom_id_types", '{"custom_id": 5, "method": "POST", "url": "/v1/completions", "body": {"prompt": "x"}}',
          '{"custom_id": "", "method": "POST", "url": "/v1/completions", "body": {"prompt": "x"}}')


def prompt_files():
    lines("prompt_missing", "{}", '{"id": "no-prompt"}', '{"prompt": null}', '{"text": "Hello"}')
    lines("prompt_misspelt", '{"Prompt": "x"}', '{"prompts": ["x"]}', '{"message": []}')
    lines("prompt_empty", '{"prompt": ""}', '{"prompt": []}', '{"prompt_token_ids": []}', '{"messages": []}')
    lines("prompt_types", *(f'{{"prompt": {value}}}' for value in
                            ["5", "true", '["a", "b"]', "[[1], [2]]", "{}", "[1, 2.0]", "[1, null]"]))
    lines("prompt_token_ids", *(f'{{"prompt_token_ids": {value}}}' for value in
                                ['"x"', "[-1]", "[2147483648]", "[1.5]", '["1"]', "[100000]"]))
    lines("prompt_twice", '{"prompt": "x", "prompt_token_ids": [1]}',
          '{"prompt": "x", "messages": [{"role": "user", "content": "x"}]}')
    message = lambda value: f'{{"messages": {value}}}'
    lines("messages_types", *(message(value) for value in [
        '"hi"', "{}", "[5]", '[{"content": "x"}]', '[{"role": 1, "content": "x"}]',
        '[{"role": "", "content": "x"}]', '[{"role": "user"}]', '[{"role": "user", "content": 5}]']))
    part = lambda value: message(f'[{{"role": "user", "content": [{value}]}}]')
    lines("messages_parts", *(part(value) for value in [
        '"x"', "{}", '{"type": 5}', '{"type": "text"}', '{"type": "text", "text": 5}',
        '{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}',
        '{"type": "input_audio", "input_audio": {}}']))
    user = '{"messages": [{"role": "user", "content": "x"}], '
    lines("tools", user + '"tools": {}}', user + '"tools": [1]}', user + '"tool_choice": "required"}',
          user + '"tool_choice": {"type": "function"}}', prompt('"tools": []'))
    lines("chat_template_kwargs", user + '"chat_template_kwargs": []}',
          user + '"chat_template_kwargs": {"messages": []}}', user + '"add_generation_prompt": 1}')
    lines("prompt_too_long", json.dumps({"prompt_token_ids": [30] * 5000}))


NUMBERS = ["max_tokens", "max_completion_tokens", "min_tokens", "temperature", "top_p", "top_k", "min_p",
           "seed", "n", "best_of", "presence_penalty", "frequency_penalty", "repetition_penalty",
           "prompt_logprobs", "top_logprobs"]
FLAGS = ["ignore_eos", "skip_special_tokens", "include_stop_str_in_output", "add_special_tokens", "echo",
         "return_token_ids"]


def parameter_files():
    lines("number_as_string", *(prompt(f'"{name}": "1"') for name in NUMBERS))
    lines("number_as_other", *(prompt(f'"{name}": {value}') for name in NUMBERS
                               for value in ["true", "[1]", "{}"]))
    lines("flag_types", *(prompt(f'"{name}": {value}') for name in FLAGS for value in ["1", '"true"']))
    lines("integer_with_fraction", *(prompt(f'"{name}": 1.5') for name in NUMBERS
                                     if name in ("max_tokens", "n", "top_k", "seed", "min_tokens")))
    lines("out_of_range", *(prompt(f'"{name}": {value}') for name, value in [
        ("max_tokens", 0), ("max_tokens", -1), ("max_completion_tokens", 0), ("min_tokens", -1),
        ("temperature", -0.1), ("temperature", 101), ("top_p", 0), ("top_p", 1.1), ("top_k", -2),
        ("min_p", -0.1), ("min_p", 1.1), ("n", 0), ("n", 129), ("presence_penalty", 2.1),
        ("frequency_penalty", -2.1), ("repetition_penalty", 0), ("repetition_penalty", 2.1),
        ("logprobs", 21), ("logprobs", -1), ("prompt_logprobs", 21), ("top_logprobs", 21)]))
    lines("huge_numbers", *(prompt(f'"{name}": {value}') for name, value in [
        ("max_tokens", 2147483648), ("max_tokens", 10**30), ("seed", 2**63), ("seed", -(10**25)),
        ("temperature", "1e300"), ("top_k", 2**40)]))
    lines("conflicts", *(prompt(members) for members in [
        '"max_tokens": 4, "max_completion_tokens": 5', '"min_tokens": 9, "max_tokens": 8',
        '"top_logprobs": 3', '"logprobs": false, "top_logprobs": 3', '"logprobs": 2, "top_logprobs": 3',
        '"n": 2, "best_of": 4']))
    lines("stop", *(prompt(f'"stop": {value}') for value in [
        "5", '""', '["a", ""]', '["a", 5]', json.dumps(["a"] * 17), json.dumps("x" * 1025), "{}"]))
    lines("stop_token_ids", *(prompt(f'"stop_token_ids": {value}') for value in [
        "7", "[-1]", "[1.0]", '["7"]', json.dumps([1] * 257), "[100000]"]))
    lines("logit_bias", *(prompt(f'"logit_bias": {value}') for value in [
        "[1]", '{"hello": 1}', '{"05": 1}', '{"-1": 1}', '{"2147483648": 1}', '{"5": "1"}', '{"5": 101}',
        '{"5": -100.5}', json.dumps({str(i): 1 for i in range(1025)}), '{"100000": 1}']))
    lines("logprobs_types", prompt('"logprobs": "yes"'), openai({"prompt": "x", "logprobs": True}),
          openai({"messages": [{"role": "user", "content": "x"}], "logprobs": 3}, "/v1/chat/completions"))
    lines("model_types", prompt('"model": 5'))
    lines("several_problems", prompt('"n": 0, "temprature": 1, "stop": 5, "top_p": 2'))


def unknown_files():
    lines("misspelt", *(prompt(f'"{name}": 1') for name in [
        "temprature", "max_token", "maxTokens", "Temperature", "top-p", "stpo", "logprob",
        "repetition_penality", "respones_format"]))
    lines("other_tools_names", *(prompt(f'"{name}": 1') for name in [
        "max_new_tokens", "num_predict", "stop_sequences", "repeat_penalty", "num_return_sequences",
        "do_sample", "system"]))
    lines("parameters_in_an_object", prompt('"sampling_params": {"temperature": 0}'),
          prompt('"options": {"num_predict": 5}'), prompt('"extra_body": {"top_k": 5}'))
    lines("unsupported", *(prompt(member) for member in [
        '"stream": true', '"response_format": {"type": "json_object"}', '"suffix": "end"',
        '"guided_json": {}', '"use_beam_search": true', '"bad_words": ["x"]', '"mirostat": 2',
        '"truncate_prompt_tokens": 5', '"allowed_token_ids": [1]']))
    lines("no_meaning_here", '{"messages": [{"role": "user", "content": "x"}], "echo": true}',
          openai({"prompt": "x", "top_logprobs": 1}), openai({"prompt": "x", "messages": []}))
    lines("metadata_conflict", prompt('"metadata": "text", "label": 1'),
          prompt('"metadata": {"label": 2}, "label": 1'))


def openai_files():
    body = '"body": {"prompt": "x"}'
    lines("openai_method", '{"custom_id": "m1", "url": "/v1/completions", ' + body + "}",
          '{"custom_id": "m2", "method": "GET", "url": "/v1/completions", ' + body + "}",
          '{"custom_id": "m3", "method": "post", "url": "/v1/completions", ' + body + "}")
    start = '{"custom_id": "u%d", "method": "POST", '
    lines("openai_url", start % 1 + body + "}", *(
        start % i + f'"url": {url}, ' + body + "}" for i, url in enumerate([
            '"/v1/rerank"', '"https://api.example/v1/completions"', '"v1/completions"', "5",
            '"/v1/completions/"', '"/v1/responses"'], start=2)))
    whole = '{"custom_id": "b%d", "method": "POST", "url": "/v1/completions"'
    lines("openai_body", whole % 1 + "}", whole % 2 + ', "body": null}', whole % 3 + ', "body": "x"}',
          whole % 4 + ', "body": []}', whole % 5 + ', "body": {}}')
    lines("openai_beside_body", whole % 6 + ', "body": {"prompt": "x"}, "temperature": 0}',
          whole % 7 + ', "body": {"prompt": "x"}, "stream": false}',
          '{"customId": "b8", "method": "POST", "url": "/v1/completions", ' + body + "}")
    lines("openai_unknown_in_body", openai({"prompt": "x", "label": 1}), openai({"prompt": "x", "temprature": 1}),
          openai({"prompt": "x", "id": "b"}))
    lines("openai_several_prompts", openai({"prompt": ["a", "b"]}))
    embed = lambda body: openai(body, "/v1/embeddings")
    lines("embeddings", embed({"model": "m"}), embed({"input": []}), embed({"input": ["a", 5]}),
          embed({"input": ["a", []]}), embed({"input": "a", "encoding_format": "int8"}),
          embed({"input": "a", "dimensions": 0}), embed({"input": "a", "temperature": 0}),
          embed({"input": ["a"] * 2049}), embed({"input": "a", "dimensions": 100000}))


def main():
    for make in [json_files, encoding_files, container_files, id_files, prompt_files, parameter_files,
                 unknown_files, openai_files]:
        make()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name, content in FILES.items():
        (FOLDER / name).write_bytes(content)
    print(f"{len(FILES)} files, {sum(map(len, FILES.values()))} bytes")


if __name__ == "__main__":
    main()
