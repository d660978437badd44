#!/usr/bin/env python3
"""llama.cpp's converter for a tokenizer that its table of hashes does not know:

    family-converter.py CONVERT_HF_TO_GGUF.PY PRE ARGUMENTS...

PRE is what the table would say, `tokenizer.ggml.pre`.
"""
import os
import runpy
import sys

converter, pre = sys.argv[1:3]
folder = os.path.dirname(os.path.abspath(converter))
sys.path[:1] = [folder, os.path.join(folder, "gguf-py")]

import conversion.base

conversion.base.TextModel.get_vocab_base_pre = lambda model, tokenizer: pre
sys.argv[:3] = [converter]
runpy.run_path(converter, run_name="__main__")
