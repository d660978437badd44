#!/usr/bin/env python3
"""llama.cpp's converter for tokenizers that it does not know:

    family-converter.py CONVERT_HF_TO_GGUF.PY PRE CHECKPOINT ARGUMENTS...

PRE is what its table of hashes would say, `tokenizer.ggml.pre`. Where there is a file of ranks and, in a real
repository, a program that reads it, we read it here.
"""
import base64
import os
import runpy
import sys

converter, pre, checkpoint = sys.argv[1:4]
folder = os.path.dirname(os.path.abspath(converter))
sys.path[:1] = [folder, os.path.join(folder, "gguf-py")]

import conversion.base
import conversion.stablelm
import gguf
import transformers

conversion.base.TextModel.get_vocab_base_pre = lambda model, tokenizer: pre

# A generator that ends with `return tensors` gives none of them: StableLM's norms of queries and keys get lost, and
# the converter stops. They are meant.
model = conversion.stablelm.StableLMModel
written = model.modify_tensors


def with_norms(self, tensor, name, layer):
    norms = yield from written(self, tensor, name, layer)
    yield from norms or ()


model.modify_tensors = with_norms


class HunYuanRanks:
    """What the converter asks of HunYuan's own tokenizer."""

    def __init__(self, path):
        with open(path, "rb") as file:
            lines = (line.split() for line in file)
            self.mergeable_ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        special = ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"]
        special += [f"<|extra_{i}|>" for i in range(205)]
        first = len(self.mergeable_ranks)
        self.special_tokens = {token: first + i for i, token in enumerate(special)}
        self.vocab_size = first + len(special)


ranks = os.path.join(checkpoint, "hy.tiktoken")
if os.path.exists(ranks):
    tokenizer = HunYuanRanks(ranks)
    transformers.AutoTokenizer.from_pretrained = lambda *args, **kwargs: tokenizer
    # The converter writes the id that `<|bos|>` has behind 127957 ranks.
    add_bos = gguf.GGUFWriter.add_bos_token_id
    ours = tokenizer.special_tokens["<|bos|>"]
    gguf.GGUFWriter.add_bos_token_id = lambda writer, token: add_bos(writer, ours if token == 127959 else token)

sys.argv[:3] = [converter]
runpy.run_path(converter, run_name="__main__")
