"""The poses, things, skies and places of the drawn scenes, as sketches.

A sketch is text, much like SVG: ``shape colour numbers`` separated by ``;``, in the
object's own units (metres; x forward, y up, 0 = ground or waterline). Poses are paths
put into a sketch.
"""

import re


def read_table(text):
    """Return {name: value} from lines ``name: value``, which may run over lines."""
    cells = re.split(r"(?m)^(\w+):", text)[1:]
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return {name: " ".join(value.split()) for name, value in pairs}


# body | head | tail | legs: near front, far front, near hind, far hind | back
DOG_POSES = read_table("""
walk: -.5,.6 -.4,.7 -.1,.68 .3,.72 .45,.6 .4,.4 .1,.37 -.25,.42 -.46,.42 | .3,.6 |
  -.46,.62 -.64,.72 -.74,.9 | .32,.45 .42,.26 .5,.07 | .26,.45 .2,.25 .1,.07 | -.36,.5
  -.52,.28 -.58,.07 | -.3,.5 -.26,.28 -.14,.07 | -.12,.6
run: -.5,.6 -.4,.72 -.1,.68 .3,.76 .48,.62 .42,.44 .1,.42 -.25,.48 -.46,.46 | .34,.64 |
  -.46,.64 -.68,.74 -.86,.72 | .36,.52 .6,.36 .82,.3 | .3,.5 .46,.28 .66,.14 | -.38,.52
  -.62,.34 -.84,.22 | -.3,.5 -.5,.26 -.7,.1 | -.12,.62
sit: -.42,.08 -.46,.32 -.2,.56 .08,.78 .3,.72 .32,.5 .2,.25 0,.06 -.2,.02 | .14,.68 |
  -.4,.1 -.6,.07 -.74,.2 | .22,.5 .24,.25 .27,.06 | .12,.5 .12,.25 .15,.06 | -.22,.26
  -.04,.2 .02,.06 | -.2,.2 -.1,.15 -.06,.06 | -.1,.46
lie: -.52,.12 -.5,.34 -.1,.36 .3,.42 .46,.3 .42,.08 0,.04 -.4,.04 | .3,.3 | -.48,.14
  -.7,.08 -.86,.16 | .3,.12 .5,.07 .68,.07 | .24,.12 .4,.08 .58,.1 | -.34,.22 -.16,.16
  -.1,.07 | -.3,.14 -.2,.1 -.12,.09 | -.1,.3
""")
# torso | near leg | far leg | near arm | far arm
PERSON_POSES = read_table("""
stand: 0,.85 0,1.28 | 0,.85 .05,.45 .05,.06 | 0,.85 -.06,.45 -.1,.06 | 0,1.27 .12,1.05
  .17,.82 | 0,1.27 -.13,1.05 -.17,.82
walk: 0,.85 .03,1.28 | 0,.85 .16,.48 .22,.06 | 0,.85 -.1,.48 -.3,.1 | .03,1.26 .1,1.02
  .3,.92 | .03,1.26 -.14,1.05 -.2,.84
run: 0,.86 .1,1.28 | 0,.86 .3,.62 .3,.24 | 0,.86 -.1,.48 -.46,.36 | .1,1.25 -.1,1.04
  .1,.88 | .1,1.25 .32,1.1 .46,1.3
kick: -.05,.86 -.1,1.28 | -.05,.86 .2,.62 .48,.34 | -.05,.86 -.08,.45 -.12,.06 |
  -.1,1.26 .14,1.12 .34,1.26 | -.1,1.26 -.34,1.15 -.5,1.3
throw: 0,.85 .04,1.28 | 0,.85 .2,.48 .24,.06 | 0,.85 -.14,.45 -.26,.06 | .04,1.26
  .26,1.42 .4,1.72 | .04,1.26 -.2,1.1 -.32,.92
catch: 0,.85 .03,1.28 | 0,.85 .16,.46 .18,.06 | 0,.85 -.12,.45 -.2,.06 | .03,1.26
  .24,1.3 .42,1.52 | .03,1.26 .2,1.4 .34,1.66
hold: 0,.85 0,1.28 | 0,.85 .05,.45 .05,.06 | 0,.85 -.06,.45 -.1,.06 | 0,1.26 .14,1.02
  .42,1.04 | 0,1.26 .2,1.08 .44,1.14
jump: 0,.85 .02,1.28 | 0,.85 .28,.66 .14,.34 | 0,.85 .1,.5 -.14,.26 | .02,1.26 .24,1.5
  .3,1.8 | .02,1.26 -.2,1.5 -.3,1.8
ride: -.2,1 .06,1.38 | -.2,1 .16,.74 .06,.24 | -.2,1 .1,.9 0,.5 | .06,1.35 .2,1.12
  .43,1.08 | .06,1.35 .24,1.14 .45,1.08
row: 0,.16 .04,.58 | 0,.16 .3,.3 .4,.1 | 0,.16 .3,.3 .4,.1 | .04,.56 .24,.36 .46,.42 |
  .04,.56 .26,.4 .46,.46
swim: -.55,-.2 -.1,-.08 | -.55,-.2 -.9,-.2 -1.2,-.3 | -.55,-.2 -.9,-.3 -1.2,-.2 |
  -.06,-.04 .22,.24 .46,.04 | -.06,-.1 .2,-.2 .4,-.24
surf: -.04,.62 .04,1.04 | -.04,.62 .24,.42 .2,.1 | -.04,.62 -.26,.42 -.28,.1 | .04,1.02
  .3,1.06 .56,1.14 | .04,1.02 -.24,1.06 -.48,1
""")
# "colour+" is lighter, "colour-" darker (the far side); "at x,y zoom" moves the origin.
# {0}, {1} ... are the paths of a pose; for people {5}-{9} are their upper halves and
# {10}-{14} their ends: neck, feet, hands.
SKETCHES = read_table("""
dog: limb coat- .12 {4}; limb coat- .13 {6}; limb coat .09 {2}; blob coat {0}; at {7} 1;
  oval patch 0,0 .2,.1; at 0,0 1; limb coat .13 {3}; limb coat .15 {5}; at {1} {zoom};
  limb coat .25 0,0 .17,.2; limb collar .07 -.02,.2 .22,.04; oval coat .22,.3 .18,.165;
  oval #d8485c .37,.15 .045,.07; oval coat .41,.23 .16,.085; oval black .55,.27
  .045,.04; oval white .29,.36 .04,.045; oval black .3,.36 .025,.03; {ears}; {extra}
floppy: blob patch- .16,.44 .06,.42 0,.28 .02,.12 .1,.1 .17,.24
pointed: blob patch- .03,.36 .05,.66 .24,.44 .16,.36
person: limb skin- .09 {4}; limb shirt- .13 {9}; limb skin- .12 {2}; limb trousers- .15
  {7}; at {12} 1; oval shoes .05,-.01 .1,.05; at 0,0 1; {seat}; limb skin .12 {1}; limb
  trousers .16 {6}; at {11} 1; oval shoes .05,-.01 .1,.05; at 0,0 1; limb shirt .29 {0};
  at {10} {zoom}; {hair_cut}; limb skin .11 -.01,-.04 .01,.1; oval skin .03,.22
  .14,.155; blob hair -.12,.18 -.13,.34 .02,.41 .16,.34 .17,.28 .03,.3 -.03,.2; oval
  black .1,.22 .02,.025; {hat_kind}; at 0,0 1; limb skin .09 {3}; limb shirt .13 {8}; at
  {13} 1; oval skin 0,0 .055,.055; {extra}
long: blob hair -.14,.32 0,.4 .06,.2 -.02,-.12 -.2,-.12 -.2,.1
helmet: blob hat -.15,.26 -.12,.4 .03,.45 .17,.38 .2,.28 .03,.29
cap: blob hat -.13,.24 -.11,.38 .03,.43 .15,.36 .17,.28 .03,.28
leash: limb #6a3030 .02 0,0 .6,-.42
rod: limb #7a5230 .03 -.2,-.1 1,.8; limb white .01 1,.8 1,-.7
racket: limb #7a5230 .05 0,0 .12,.2; oval #e9e4d8 .22,.38 .15,.2; oval #b9c4c8 .22,.38
  .1,.15
bike: ring black .07 -.52,.36 .33,.33; ring black .07 .52,.36 .33,.33; ring bike .03
  -.52,.36 .27,.27; ring bike .03 .52,.36 .27,.27; limb gray .015 -.75,.2 -.29,.52; limb
  gray .015 -.75,.52 -.29,.2; limb gray .015 .29,.2 .75,.52; limb gray .015 .29,.52
  .75,.2; limb bike .07 -.52,.36 -.02,.3 .36,.8 -.2,.8 -.52,.36; limb bike .07 -.24,.9
  -.02,.3; limb bike .07 .34,.92 .52,.36; limb black .08 -.36,.94 -.14,.94; limb black
  .06 .34,.92 .34,1.06 .46,1.06; oval gray -.02,.3 .08,.08; limb black .05 -.06,.5
  .1,.22
ball: oval ball 0,.17 .17,.17; oval ball+ -.05,.23 .07,.055
soccer: oval white 0,.17 .17,.17; oval black 0,.17 .055,.055; oval black -.11,.22
  .035,.035; oval black .11,.22 .035,.035; oval black 0,.3 .04,.025; oval black -.08,.07
  .04,.03; oval black .08,.07 .04,.03
tennis: oval #c8e03c 0,.17 .17,.17; limb white .03 -.14,.25 -.07,.2 -.06,.12 -.12,.06;
  limb white .03 .14,.27 .07,.22 .06,.14 .12,.08
basketball: oval orange 0,.17 .17,.17; limb black .015 0,.33 0,.01; limb black .015
  -.16,.17 .16,.17; limb black .015 -.12,.28 -.06,.17 -.12,.06; limb black .015 .12,.28
  .06,.17 .12,.06
beach: oval white 0,.17 .17,.17; shape red 0,.17 -.05,.33 .06,.33; shape blue 0,.17
  .15,.25 .16,.1; shape yellow 0,.17 -.15,.25 -.16,.1; shape green 0,.17 -.05,.01
  .06,.01
disc: oval boat 0,.1 .24,.07; oval boat+ 0,.12 .15,.035
stick: limb brown .06 .4,.05 .75,.2
boat: shape boat -1.1,.42 1.1,.42 .85,-.12 -.8,-.12; limb white .07 -1.1,.42 1.1,.42;
  limb #c89a5a .06 -.1,.7 .7,0; oval #c89a5a .75,-.05 .16,.07
sail: limb #7a5230 .07 0,.3 0,2.3; shape boat .06,.5 .06,2.25 .95,.5; shape white
  -.06,.6 -.06,2 -.7,.6; shape #8a5a32 -1,.36 1,.36 .75,-.1 -.75,-.1
duck: blob duck -.4,.1 -.5,.3 -.2,.24 .1,.28 .25,.1 .1,-.1 -.3,-.08; oval duck .22,.38
  .14,.14; shape orange .33,.42 .52,.35 .33,.31; oval black .26,.42 .03,.03; limb duck-
  .1 -.25,.1 0,.06
surfer: blob #2a86be -1.9,-.05 -1.5,.12 -1,.7 -.5,1.25 .05,1.62 .6,1.62 .95,1.3 .98,1
  .8,1.12 .5,1.2 .32,1 .34,.62 .62,.3 1.2,.08 1.8,-.05; blob white -.5,1.3 .05,1.7
  .65,1.7 1.05,1.35 1.08,1 .92,.94 .84,1.14 .6,1.4 .1,1.45; limb #8fd0ea .05 -1.2,.2
  -.7,.8 -.2,1.25; limb #8fd0ea .05 -.8,.1 -.4,.65 .05,1.15; limb #8fd0ea .05 -.3,.1
  0,.5 .2,.9; at .1,.42 1; blob boat -.75,.04 0,.12 .8,.08 .95,.16 .5,-.02 -.6,-.04
fountain: blob #9fdcf5 -.5,.5 -.42,1.1 -.1,1.6 0,1.75 .1,1.6 .42,1.1 .5,.5 0,.4; limb
  white .05 0,1.7 -.25,1.35 -.38,.6; limb white .05 0,1.7 .25,1.35 .38,.6; limb white
  .05 0,1.7 0,.6; shape #b9b4ae -.95,0 .95,0 1.05,.5 -1.05,.5; oval #6cc3ea 0,.5 1,.14
hoop: limb #70757d .09 .2,0 .2,2.2; shape white -.2,1.85 .3,1.85 .3,2.5 -.2,2.5; shape
  #ffffff99 -.62,1.95 -.22,1.95 -.3,1.6 -.54,1.6; limb red .06 -.64,1.95 -.2,1.95
goal: limb white .02 -.8,.4 .8,.4; limb white .02 -.8,.8 .8,.8; limb white .02 -.3,0
  -.3,1.2; limb white .02 .3,0 .3,1.2; limb white .09 -.8,0 -.8,1.2 .8,1.2 .8,0
net: shape #3a4a44aa -.9,0 .9,0 .9,.6 -.9,.6; limb white .07 -.9,.62 .9,.62; limb gray
  .08 0,0 0,.66
log: limb #7a5230 .3 -.6,.15 .6,.15; oval #c89a6a .62,.15 .09,.13
ramp: shape #8a5a32 .55,0 .8,0 .8,.5 .55,.4; shape #c8935a -.95,0 -.8,0 .85,.44 .85,.54
bench: limb #5b4130 .08 -.6,0 -.6,.8; limb #5b4130 .08 .6,0 .6,.8; limb #a86a3a .12
  -.75,.4 .75,.4; limb #a86a3a .1 -.75,.66 .75,.66; limb #a86a3a .1 -.75,.84 .75,.84
basket: shape #b98450 .4,1 .78,1 .72,.7 .46,.7; oval pink .48,1.06 .08,.08; oval yellow
  .6,1.1 .08,.08; oval red .71,1.05 .08,.08
tree: limb #7a5230 .16 0,0 0,.9; oval #3f8f48 -.32,1 .4,.36; oval #3f8f48 .32,1 .4,.36;
  oval #58ab52 0,1.3 .5,.44; oval #6cbc5c -.1,1.42 .26,.2
pine: limb #6b4a30 .14 0,0 0,.3; shape #256b4c -.5,.25 .5,.25 0,.95; shape #2d7a57
  -.42,.6 .42,.6 0,1.25; shape #378a63 -.32,.95 .32,.95 0,1.6
snowpine: limb #6b4a30 .14 0,0 0,.3; shape #3d7a68 -.5,.25 .5,.25 0,.95; shape #4a8a77
  -.42,.6 .42,.6 0,1.25; shape #eef4fb -.2,.92 -.06,.8 .06,.9 .2,.92 0,1.25; shape
  #eef4fb -.32,.95 -.1,1.02 .08,.95 .32,.95 0,1.6
trunk: shape #4d3a2c -.14,0 .14,0 .08,5 -.08,5; shape #6a503c -.14,0 -.04,0 -.03,5
  -.08,5
house: shape wall -.5,0 .5,0 .5,1.1 -.5,1.1; shape roof -.58,1.1 .58,1.1 .3,1.45
  -.3,1.45; shape #6b4a3a -.1,0 .1,0 .1,.42 -.1,.42; shape #e8f4fa -.38,.62 -.14,.62
  -.14,.92 -.38,.92; shape #e8f4fa .14,.62 .38,.62 .38,.92 .14,.92; shape #e8f4fa
  -.4,.15 -.2,.15 -.2,.42 -.4,.42; shape #e8f4fa .2,.15 .4,.15 .4,.42 .2,.42
picket: shape #fbf9f2 -.4,0 .1,0 .1,.9 -.15,1.15 -.4,.9; shape #fbf9f2 -.7,.3 .7,.3
  .7,.45 -.7,.45
parasol: limb #a98a6a .07 0,0 0,1.5; shape petal -.8,1.2 .8,1.2 .5,1.6 0,1.8 -.5,1.6;
  shape #fff6e8 -.25,1.2 .25,1.2 0,1.8
sun: oval #fff0b055 0,0 1.35,1.35; oval #fff3b8 0,0 1,1
moon: oval #f6f2d8 0,0 1,1; oval #e2dcc0 -.25,.2 .22,.2; oval #e2dcc0 .3,-.25 .16,.16
star: oval #fffbe0 0,0 .6,.6
cloud: oval #ffffffcc 0,0 .6,.2; oval #ffffffcc -.2,.16 .28,.24; oval #ffffffcc .18,.2
  .3,.28
flower: limb #2f7a3a .1 0,0 0,.6; oval petal 0,.7 .24,.22; oval #fff2c0 0,.7 .09,.09
tuft: limb #00300044 .1 -.15,.5 0,0 .15,.5
dot: oval #00000018 0,0 .3,.12
flake: oval #ffffffdd 0,0 .2,.2
leaf: oval petal 0,0 .3,.14
rock: blob #8a8a92 -.5,-.05 -.4,.3 0,.42 .4,.25 .5,-.05
ripple: limb #ffffff77 .13 -.8,0 -.4,.14 0,0 .4,.14 .8,0
peak: shape #8392ad -1,0 1,0 .1,1.1; shape #f4f7fb -.25,.82 -.1,.75 .1,.86 .3,.76
  .44,.68 .1,1.1
shrub: oval #3f8f48 -.3,.2 .35,.3; oval #4fa04e .25,.2 .4,.34; oval #63b25a 0,.36 .3,.26
""")
# sky: top colour, bottom colour, tint of the ground, its share; things in the sky:
# name, count, size, lowest and highest distance from the upper edge
SKIES = read_table("""
day: #58b4ec #d6f0fb #000000 0 | sun 1 15 10 40, cloud 3 34 8 40
sunset: #7a5aa8 #ffb978 #ff8a50 .16 | sun 1 22 40 70, cloud 2 34 8 40
gray: #9aa6b4 #d9dde2 #8a94a4 .22 | cloud 7 48 8 40
night: #0f1a44 #3c4f8c #14245c .5 | star 26 1 4 50, moon 1 13 16 24
""")
# far ground, near ground | sketch in scene units from the horizon | what is scattered:
# name, count, lowest and highest distance below the horizon, smallest and largest size
PLACES = read_table("""
park: #a8d868 #5aa848 | blob #86c46a -60,-10 20,20 80,6 150,24 280,-10 140,-30 | shrub 5
  0 4 14 22, tree 5 0 8 26 40, tuft 70 10 110 6 12
meadow: #c4d860 #7cb23e | blob #9cc876 -60,-10 40,14 110,4 180,20 280,-10 140,-30 |
  shrub 4 -2 2 10 16, flower 110 6 112 8 15
beach: #f4dca4 #e6bf7c | shape #3a9fd0 0,0 224,0 224,-34 0,-30; limb #ffffffcc 4 0,-32
  50,-35 100,-32 160,-36 224,-33; limb #7cc8e6 2 20,-12 70,-12; limb #7cc8e6 2 120,-20
  190,-20 | parasol 2 42 50 18 24, dot 60 42 115 8 12
snow: #eaf1fa #c2d4ec | blob #f6f9fd -60,-10 30,20 100,4 170,26 280,-10 140,-30 |
  snowpine 7 0 8 24 40, dot 25 20 110 10 18, flake 70 -100 110 5 12
street: #cfc8bc #b8b0a4 | shape #6c6f78 0,-22 224,-22 224,-120 0,-120; shape #e4ded2
  0,-18 224,-18 224,-23 0,-23; limb #e8e6dc 3 14,-50 54,-50; limb #e8e6dc 3 92,-50
  132,-50; limb #e8e6dc 3 170,-50 210,-50 | house 5 2 2 44 44
woods: #4f7a44 #6e5a3a | shape #1f4f3a 0,-10 224,-10 224,130 0,130; blob #2f6b48 -20,-10
  30,60 80,40 130,66 180,44 250,60 240,-20 100,-20 | trunk 9 -4 4 26 36, trunk 5 4 16 44
  60, shrub 7 0 20 14 22, leaf 60 14 112 6 11
mountain: #a4b878 #8a9a58 | shape #d8bd8c 96,0 116,0 250,-120 -20,-120 | peak 4 0 0 52
  84, pine 6 0 14 14 26, rock 6 8 100 8 16, tuft 30 14 110 6 11
garden: #98d060 #62b04c | shape #86b86a 0,-4 224,-4 224,14 0,14 | tree 3 -4 0 30 40,
  picket 19 4 4 17 17, flower 26 6 14 12 18, tuft 40 20 110 6 11
shore: #b8cf78 #78b050 | blob #7fae86 -60,-10 30,26 90,8 160,30 280,-10 140,-20; shape
  #4aa6d6 0,0 224,0 224,-40 0,-36 | pine 5 -2 0 12 20, ripple 12 8 32 5 9, rock 7 38 44
  8 16, tuft 50 48 112 6 12
court: #cf8a58 #b86a40 | shape #7f9a86 0,0 224,0 224,24 0,24; limb #f4eee0 2.5 0,-14
  224,-14; limb #f4eee0 2.5 60,-14 10,-112; limb #f4eee0 2.5 164,-14 214,-112 | tree 6
  -20 -20 24 34
lake: #6cbce0 #2a7fb8 | blob #7fae86 -60,-6 30,26 90,8 160,34 280,-6 140,-4 | pine 12 -1
  1 14 26, ripple 34 8 115 6 13
sea: #4aa4d8 #1a6aa8 | limb #bfe6f6 1 0,0 224,0 | ripple 44 6 115 6 14
river: #64b4d0 #3488b0 | blob #7cba62 -60,-14 30,14 90,6 160,16 280,-14 140,-8; blob
  #7cba62 -40,-104 60,-108 130,-98 200,-104 270,-96 280,-160 -40,-160 | tree 7 0 4 22
  34, ripple 26 16 96 6 12, rock 5 8 11 8 14, flower 14 110 118 10 16
pool: #7fe0ec #34b4dc | shape #efe6d6 0,0 224,0 224,-14 0,-14; shape #c8bfae 0,-14
  224,-14 224,-18 0,-18 | shrub 8 0 0 18 26, parasol 3 6 8 20 26, ripple 36 26 115 6 13
waterfall: #8ab878 #5f9a50 | shape #5f6672 0,-8 224,-8 224,70 170,96 60,90 0,64; shape
  #777f8c 0,-8 64,-8 76,84 0,60; shape #a8e0f4 82,88 142,92 152,-14 74,-14; limb
  #ffffffcc 4 94,86 90,-10; limb #ffffffcc 5 112,88 112,-10; limb #ffffffcc 4 130,88
  136,-10; blob #58b4d8 -20,-4 60,-2 170,-2 250,-6 240,-44 120,-50 -20,-42; oval
  #ffffffaa 112,-12 52,9 | pine 7 -2 2 18 30, rock 8 40 50 10 20, tuft 30 54 112 6 12
""")
# Colours that no caption speaks of
PAINTS = read_table("""
petal: #e8486a #f7c840 #b070d0 #f08a3c #f8f0f0
wall: #e8b48c #d98880 #f0d9a0 #a8c4b0 #9fb4d0 #e6cfc0
roof: #8a4a3c #6b5a6a #a8583c #54606e
""")
