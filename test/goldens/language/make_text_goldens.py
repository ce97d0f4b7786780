"""Makes text/: small tokenizers and chat templates with what tokenizers and transformers say of them.

The tests only read what this wrote; they need no Python. To make it again:

    python -m venv venv && venv/bin/pip install transformers jinja2
    venv/bin/python make_text_goldens.py

The committed files were made with transformers 5.24.0 and the tokenizers that it needs.

    lines.txt                   2,000 lines, one per LF; a line may hold any other character
    <name>/tokenizer.json …     a tokenizer in the form of a family, trained on the lines
    <name>/ids.bin.gz           per line its number of ids, then the ids; uint16, little-endian
    templates/<name>.jinja      chat templates
    templates/<name>.json       conversations with what apply_chat_template makes of them
"""

import gzip
import json
import random
import shutil
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).parent / "text"

SENTENCES = """All human beings are born free and equal in dignity and rights.
Todos los seres humanos nacen libres e iguales en dignidad y derechos; ¿verdad?
Tous les êtres humains naissent libres et égaux en dignité et en droits. L’été, l'œuvre, « là ».
Alle Menschen sind frei und gleich an Würde und Rechten geboren: Straße, größer, ÄÖÜ.
Tutti gli esseri umani nascono liberi ed eguali; perché no?
Todas as pessoas nascem livres e iguais. Não é? Ação, coração.
Alle mensen worden vrij en gelijk geboren, zó is het.
Alla människor är födda fria; överallt på åkern.
Kaikki ihmiset syntyvät vapaina, hääyöaie.
Wszyscy ludzie rodzą się wolni: zażółć gęślą jaźń.
Všichni lidé rodí se svobodní. Příliš žluťoučký kůň.
Minden emberi lény szabadon születik; árvíztűrő tükörfúrógép.
Bütün insanlar hür doğarlar. İstanbul’da ışık, ILIK.
Toate ființele umane se nasc libere, în demnitate.
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι. Ἀρχή, ᾧ.
Все люди рождаются свободными и равными. Ёлка, съезд.
Всі люди народжуються вільними: їжак, ґанок.
Сви људска бића рађају се слободна; Ђорђе, Њива.
כל בני האדם נולדו בני חורין. שָׁלוֹם עוֹלָם!
يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. السَّلامُ عليكم؟
تمام افراد بشر آزاد به دنیا می‌آیند.
تمام انسان آزاد پیدا ہوئے ہیں۔
सभी मनुष्य जन्म से स्वतन्त्र हैं। क्षेत्र, ज्ञान, श्री।
সমস্ত মানুষ স্বাধীনভাবে জন্মগ্রহণ করে।
ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਜ਼ਾਦ ਹੈ।
மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.
ప్రతి మానవుడు స్వేచ్ఛతో జన్మిస్తాడు.
ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿ ಹುಟ್ಟಿದ್ದಾರೆ.
മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടെ ജനിച്ചിട്ടുള്ളവരാണ്.
මිනිස් වර්ගයා නිදහස්ව උපත ලබා ඇත.
มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน น้ำใจ
ມະນຸດທຸກຄົນເກີດມາມີສິດເສລີພາບ
လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် မွေးဖွားသည်။
មនុស្សទាំងអស់កើតមកមានសេរីភាព
人人生而自由，在尊严和权利上一律平等。
人人生而自由，在尊嚴和權利上一律平等。「你好」
すべての人間は、生まれながらにして自由である。カタカナ、ｶﾀｶﾅ、がぎぐ。
모든 인간은 태어날 때부터 자유롭다. 안녕하세요 각 각
Tất cả mọi người sinh ra đều được tự do; Nguyễn, Việt Nam.
Ang lahat ng tao'y isinilang na malaya.
Semua orang dilahirkan merdeka.
Watu wote wamezaliwa huru, hali zao ni sawa.
Gbogbo ènìyàn ni a bí ní òmìnira; ẹ̀tọ́.
ሰው፡ ሁሉ፡ ነጻ፡ ሆኖ፡ ተወለደ።
ყველა ადამიანი იბადება თავისუფალი.
Բոլոր մարդիկ ծնվում են ազատ։
Хүн бүр төрж мэндлэхдээ эрх чөлөөтэй.
བྱིང་སྲིང་ཚང་མ་རང་དབང་།
ᏂᎦᏓ ᎠᏂᏴᏫ ᏂᎨᎫᏓᎸᎾ
ᓱᓇᐃᑦ ᐃᓅᔪᑦ""".split("\n")

ODDITIES = ["👩‍👩‍👧‍👦 family", "🏳️‍🌈🏴‍☠️", "👍🏽👍🏿", "🇩🇪🇫🇷", "❤️ vs ❤", "e\u0301 vs é", "A\u030angström Å", "ﬁ ligature ﬀ", "½ ⅔ ²³ №",
            "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒽𝑒𝓁𝓁𝑜", "𠜎𠜱𠝹", "\u200bzero\u200dwidth\ufeff", "tab\tand\ttabs\t\t", "  two  spaces   three ", " leading", "trailing ",
            "\u00a0nbsp\u2003em\u3000wide", "CR\rinside", "\u0085nel\u2028ls\u2029ps", "null\x00bell\x07esc\x1b[0m", "\ufffd replaced",
            "it's I'm we'RE they'll you'd I'VE", "don’t can’t", "1234567890", "3.14159 1,000,000 1e-9 0xFF", "12:30:45 2026-11-27",
            "v1.2.3-beta+5", "def f(x: int) -> str:", "    return f'{x:>10}'", "if (a && b || !c) { d ??= e?.f; }", "SELECT * FROM t WHERE a <> 'b';",
            "<div class=\"a\">&nbsp;</div>", "https://example.com/a?b=c&d=%20#e", "user@example.com", "C:\\Windows\\System32", "#include <stdio.h>",
            "$\\int_0^\\infty e^{-x^2}dx = \\frac{\\sqrt\\pi}{2}$", "!!!???...", "—–-‐‑", "“quotes” ‘single’ „low“", "()[]{}<>", "__init__ snake_case camelCase",
            "<s> </s> <unk>", "<|im_start|>user", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|begin_of_text|>x", "[INST] hi [/INST]", "<0x0A> <0xFF>",
            "▁ lower one eighth", "Ġ and Ċ", "ÀÈÌ àèì", "ǅ ǆ ſ ẞ ß", "ΑΣ ας", "\u0301 alone", "", " ", "\t", "a", "。", "🙂", "{\"a\": [1, 2.5, null, true]}"]


def lines():
    draw = random.Random(0)
    result = SENTENCES + ODDITIES
    words = [word for sentence in SENTENCES for word in sentence.split(" ")]
    joins = [" ", " ", " ", "  ", ", ", "-", "", "\t", " / "]
    while len(result) < 2000:
        kind = draw.random()
        if kind < 0.6:
            parts = [draw.choice(words) for _ in range(draw.randint(2, 6))]
        elif kind < 0.8:
            parts = [draw.choice(ODDITIES) for _ in range(draw.randint(1, 2))] + [draw.choice(words)]
        elif kind < 0.9:
            parts = [str(draw.randint(0, 10 ** draw.randint(1, 12))) for _ in range(draw.randint(1, 3))]
        else:
            # Any assigned-looking character of the first planes: no surrogates, no line feeds.
            parts = ["".join(chr(c) for c in (draw.choice([draw.randint(1, 0x2FFF), draw.randint(0x3000, 0xD7FF), draw.randint(0x1F300, 0x1FAFF)])
                                              for _ in range(draw.randint(1, 6))) if c != 10)]
        line = parts[0]
        for part in parts[1:]:
            line += draw.choice(joins) + part
        result.append(line)
    return result[:2000]


LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(split, normalizer, specials, bos=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=bos is not None))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in specials])
    byte_level = processors.ByteLevel(trim_offsets=False)
    if bos is None:
        tokenizer.post_processor = byte_level
    else:
        template = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
                                                 special_tokens=[(bos, tokenizer.token_to_id(bos))])
        tokenizer.post_processor = processors.Sequence([byte_level, template])
    return tokenizer


def sentencepiece(is_legacy):
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if is_legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, limit_alphabet=120, show_progress=False)
    # Trained on words: what is merged across spaces would be one token per line.
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    trained.train_from_iterator(LINES, trainer)
    model = json.loads(trained.to_str())["model"]
    tokenizer.model = models.BPE(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], unk_token="<unk>", fuse_unk=True,
                                 byte_fallback=True)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ["<unk>", "<s>", "</s>"]])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1",
                                                             special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    return tokenizer


def make_tokenizers():
    chatml = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    llama3 = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"]
    return {
        "qwen2": (byte_level(QWEN2_SPLIT, normalizers.NFC(), chatml), dict(eos_token="<|im_end|>", pad_token="<|endoftext|>")),
        "llama3": (byte_level(LLAMA3_SPLIT, None, llama3, bos="<|begin_of_text|>"), dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")),
        "llama2": (sentencepiece(True), dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")),
        "mistral": (sentencepiece(False), dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")),
    }


TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather in a city – now, or \"later\" <soon> & so on", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "Größte Stadt, e.g. 東京"}, "days": {"type": "integer"}},
    "required": ["city"]}}}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "call_00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}}]}
RESULT = {"role": "tool", "tool_call_id": "call_00001", "content": "{\"temp\": 21.5, \"sky\": \"☀️\"}"}
CONVERSATIONS = [
    dict(messages=[{"role": "user", "content": "Hello"}], add_generation_prompt=True),
    dict(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Wie geht's?\n"}, {"role": "assistant", "content": "Gut. 😀"}]),
    dict(messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "一"}, {"role": "assistant", "content": "二\n"},
                   {"role": "user", "content": "<b>3</b> & \"4\""}], add_generation_prompt=True),
    dict(messages=[{"role": "user", "content": "Weather?"}], tools=[TOOL], add_generation_prompt=True),
    dict(messages=[{"role": "user", "content": "Weather?"}, CALL, RESULT, {"role": "assistant", "content": "It is 21.5 °C."}], tools=[TOOL]),
]


def make_templates(tokenizers):
    for name, family in [("chatml", "qwen2"), ("llama3", "llama3"), ("inst", "mistral"), ("generation", "qwen2")]:
        template = (ROOT / f"templates/{name}.jinja").read_text()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizers[family][0], **tokenizers[family][1])
        cases = []
        for case in CONVERSATIONS:
            arguments = dict(conversation=case["messages"], tools=case.get("tools"), chat_template=template,
                             add_generation_prompt=case.get("add_generation_prompt", False))
            golden = dict(case, text=tokenizer.apply_chat_template(**arguments, tokenize=False))
            encoded = tokenizer.apply_chat_template(**arguments, tokenize=True, return_dict=True,
                                                    return_assistant_tokens_mask="generation %}" in template)
            golden["ids"] = encoded["input_ids"]
            if "assistant_masks" in encoded:
                golden["mask"] = encoded["assistant_masks"]
            cases.append(golden)
        (ROOT / f"templates/{name}.json").write_text(json.dumps(dict(tokenizer=family, cases=cases), ensure_ascii=False, indent=1) + "\n")


LINES = lines()

if __name__ == "__main__":
    ROOT.mkdir(exist_ok=True)
    assert not any("\n" in line for line in LINES)
    (ROOT / "lines.txt").write_bytes("\n".join(LINES).encode())
    made = make_tokenizers()
    for name, (tokenizer, names) in made.items():
        folder = ROOT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        fast = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), clean_up_tokenization_spaces=False, **names)
        config = dict(tokenizer_class="PreTrainedTokenizerFast", clean_up_tokenization_spaces=False, model_max_length=2048, **names)
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
        flat = []
        for line in LINES:
            ids = fast(line)["input_ids"]
            flat += [len(ids), *ids]
        (folder / "ids.bin.gz").write_bytes(gzip.compress(np.array(flat, dtype="<u2").tobytes(), mtime=0))
    make_templates(made)
