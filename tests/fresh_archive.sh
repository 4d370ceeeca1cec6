#!/usr/bin/env bash
# `make prove`: a team with hard names hands in; its zip is unpacked in an empty folder, an
# environment is made there from the archive's own requirements, and the notebook executed on
# the drawn scenes. On the way, faults that must be caught. Needs what `make run` installed, and pip's
# network; about eleven minutes, nine with PROVE_DATA: a data folder, of which a fifth then stands for
# the scenes.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset PYTHONPATH CLIP_MODEL_DIR CLIP_DATA_DIR CLIP_PRESET CLIP_IMAGE_ENCODER CLIP_TEXT_ENCODER
lib=("$root/.venv/bin/python" -m clip_lib)
step() { echo "[$SECONDS s] $*"; }
# The rules that a command must find broken, in their order, and no other.
refused() {
    local expected=$1
    shift
    "${lib[@]}" submit --json "$@" > "$scratch/answer" 2> "$scratch/log" && { echo "not refused: $expected"; exit 1; }
    "$root/.venv/bin/python" - "$expected" "$scratch/answer" << 'CHECK' || { cat "$scratch/log"; exit 1; }
import json, sys
rules = json.load(open(sys.argv[2], encoding="utf-8"))["rules"]
broken = " ".join(one["rule"] for one in rules if one["faults"] and not one["waived"])
sys.exit(0 if broken == sys.argv[1] else f"expected {sys.argv[1]}, found {rules}")
CHECK
    echo "refused, as it must be: $expected"
}
quiet() { "$@" > "$scratch/log" 2>&1 || { tail -n 30 "$scratch/log"; exit 1; }; }

step "a fresh copy, its team filled in"
mkdir "$scratch/project" "$scratch/empty folder"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$scratch/project"
cd "$scratch/project"
cat > equipe.toml << 'TEAM'
groupe = 7
[[membres]]
nom = "O'Connor-Lévêque"
prenom = "Zoé Ñusta"
carte = "22001234"
[[membres]]
nom = "d'Été & Fils_#1"
prenom = "Łukasz"
carte = "00425678"
depose = true
[[membres]]
nom = "Nguyễn"
prenom = "Anh"
carte = 22009999
[[membres]]
nom = "Castellanos-Rodríguez de la Peña d’Œuvre"
prenom = "Maximilien-Alexandre"
carte = "22005555"
TEAM
git init -q && git add -A
data=scenes
trial=(--waive settings --waive own-words)
unmet=own-words
if [ -n "${PROVE_DATA:-}" ]; then
    data=$scratch/photographs
    mkdir "$data"
    ln -s "$PROVE_DATA/images" "$data/images"
    awk 'NR == 1 || NR % 5 == 0' "$PROVE_DATA/captions.csv" > "$data/captions.csv"
else
    trial+=(--waive photographs)
fi
latex=$(command -v latexmk > /dev/null && command -v lualatex > /dev/null && echo yes || true)
step "what is known before anything runs"
sed -i 's/VOTRE-COMPTE/equipe/; s/VOTRE-DEPOT/clip/' 1_ProjetClip.ipynb  # If any.
refused template --early --report compiled-online.pdf
printf '%s\n' '\documentclass[10pt,a4paper]{article}' '\usepackage[margin=2.5cm]{geometry}' \
    > report/template/preambule.tex
"${lib[@]}" submit --early --report compiled-online.pdf
step "the notebook runs"
quiet "${lib[@]}" run --quick --data "$data" --models models
step "its PDF, and the report"
quiet "${lib[@]}" pdf
report() {
    if [ -n "$latex" ]; then
        quiet "${lib[@]}" report "$@"
        return
    fi
    echo "no LaTeX here: a page with the names and the stamp stands for the report"
    quiet "${lib[@]}" report --no-pdf "$@"
    unmet=
    "$root/.venv/bin/python" -c "
import re, typst
from clip_lib.handin.team import read_team
names = '\n'.join(map(' '.join, read_team()[1].to_numpy()))
stamp = re.search(r'empreinte}{(.*)}', open('report/generated/stamp.tex').read())[1]
page = b'#set page(paper: \"a4\")\n#set document(keywords: sys.inputs.stamp)\n#sys.inputs.names'
made = typst.compile(page, format='pdf', sys_inputs={'names': names, 'stamp': stamp})
open('report/rapport.pdf', 'wb').write(made)"
}
report

step "faults, each caught by its rule"
drawn=$([ "$data" = scenes ] && echo photographs || true)
refused "$(echo $drawn settings $unmet)"
# In one process: to start is what takes long.
"$root/.venv/bin/python" - "${trial[@]}" << 'FAULTS'
import contextlib, io, json, sys
from pathlib import Path
from clip_lib.__main__ import main

for rule, name, old, new in (
    ("names", "equipe.toml", "22009999", "22009998"),
    ("names", "equipe.toml", "22009999", "2200999"),
    ("team", "equipe.toml", "depose = true", ""),
    ("stamp", "report/sections/limites.tex", "\\section", "Une phrase.\n\\section"),
    ("stamp", "models/config.json", "{", "{ "),
    ("outputs", "models/1_ProjetClip.ipynb", '"execution_count": 9,', '"execution_count": 12,'),
    ("today", "clip_lib/config.py", "import", "# Changed.\nimport"),
):
    kept = Path(name).read_text(encoding="utf-8")
    assert old in kept, name
    Path(name).write_text(kept.replace(old, new, 1), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = main(["submit", "--json", *sys.argv[1:]])
    Path(name).write_text(kept, encoding="utf-8")
    rules = json.loads(said.getvalue())["rules"]
    broken = [one["rule"] for one in rules if one["faults"] and not one["waived"]]
    assert (status, broken) == (1, [rule]), (name, rules)
    print(f"refused, as it must be: {rule}, {name}")
FAULTS
touch .DS_Store clip_lib/.DS_Store "clip_lib/copie de config.py" clip_lib/notes.txt
refused "today archive" "${trial[@]}"  # A copy would be a part of the library.
rm "clip_lib/copie de config.py" clip_lib/notes.txt
"${lib[@]}" submit "${trial[@]}"
"$root/.venv/bin/python" -m zipfile -l 7.zip | grep -E "DS_Store|notes|copie" && exit 1
quiet "${lib[@]}" submit "${trial[@]}" --check 7.zip
cp 7.zip "$scratch/6.zip"
refused archive "${trial[@]}" --check "$scratch/6.zip"

step "unpacked, in an environment of its own"
cd "$scratch/empty folder"
"$root/.venv/bin/python" -m zipfile -e "$scratch/project/7.zip" .
"${PYTHON:-python3}" -m venv --without-pip "$scratch/venv"
quiet "${PYTHON:-python3}" -m pip --disable-pip-version-check \
    --python "$scratch/venv/bin/python" install -r 7_code/requirements.txt
step "the notebook runs there"
CLIP_PRESET=quick CLIP_DATA_DIR="$data" quiet "$scratch/venv/bin/python" \
    -m jupyter nbconvert --execute --inplace --to=notebook 7_ProjetClip.ipynb

step "what ran there could be handed in, with a report of its own"
cd "$scratch/project"
there=(--notebook "$scratch/empty folder/7_ProjetClip.ipynb" --models "$scratch/empty folder/models")
quiet "${lib[@]}" pdf "${there[1]}"
refused same-run "${trial[@]}" "${there[@]:0:2}"
report "${there[@]}"
"${lib[@]}" submit "${trial[@]}" "${there[@]}"
step "proved"
