#!/usr/bin/env bash
# `make prove`: a team with hard names hands in; its zip is unpacked in an empty folder, an
# environment is made there from the archive's own requirements, and the notebook executed on
# the drawn scenes. Needs what `make run` installed, and pip's network; about eleven minutes, nine
# with PROVE_DATA: a data folder, of which a fifth then stands for the scenes.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset PYTHONPATH CLIP_MODEL_DIR CLIP_DATA_DIR CLIP_PRESET CLIP_STRATEGY CLIP_IMAGE_ENCODER CLIP_TEXT_ENCODER
lib=("$root/.venv/bin/python" -m clip_lib)
step() { echo "[$SECONDS s] $*"; }
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
data=scenes
if [ -n "${PROVE_DATA:-}" ]; then
    data=$scratch/photographs
    mkdir "$data"
    ln -s "$PROVE_DATA/images" "$data/images"
    awk 'NR == 1 || NR % 5 == 0' "$PROVE_DATA/captions.csv" > "$data/captions.csv"
fi
step "the notebook runs"
quiet "${lib[@]}" run --quick --data "$data" --models models
step "its PDF, and the report"
quiet "${lib[@]}" pdf
if command -v latexmk > /dev/null && command -v lualatex > /dev/null; then
    quiet "${lib[@]}" report
else
    echo "no LaTeX here: a page with the names stands for the report"
    "$root/.venv/bin/python" -c "
import typst
from clip_lib.handin.team import read_team
names = read_team()[1].to_string()
made = typst.compile(b'#sys.inputs.names', format='pdf', sys_inputs={'names': names})
open('report/rapport.pdf', 'wb').write(made)"
fi
"${lib[@]}" submit

step "unpacked, in an environment of its own"
cd "$scratch/empty folder"
"$root/.venv/bin/python" -m zipfile -e "$scratch/project/7.zip" .
"${PYTHON:-python3}" -m venv --without-pip "$scratch/venv"
quiet "${PYTHON:-python3}" -m pip --disable-pip-version-check \
    --python "$scratch/venv/bin/python" install -r 7_code/requirements.txt
step "the notebook runs there"
CLIP_PRESET=quick CLIP_DATA_DIR="$data" quiet "$scratch/venv/bin/python" \
    -m jupyter nbconvert --execute --inplace --to=notebook 7_ProjetClip.ipynb

step "what ran there could be handed in"
cd "$scratch/project"
quiet "${lib[@]}" pdf "$scratch/empty folder/7_ProjetClip.ipynb"
"${lib[@]}" submit --notebook "$scratch/empty folder/7_ProjetClip.ipynb"
step "proved"
