# shellcheck shell=bash
# Sourced by quickstart.sh: steps that say what they do and how long it will take, show a bar, and are not done twice.
#
#   begin FOLDER                        # results go to FOLDER, what each step said to FOLDER/steps/NAME.log
#   tell NAME SECONDS TITLE WORDS...    # python WORDS, whose results lie in FOLDER/NAME; SECONDS on two slow cores
#
# A step is skipped where its results are there and were made by the same words from the same files. An interrupted training
# goes on with train.py --resume. With COUNTING=1 `tell` only counts: STEPS, and SECONDS_EXPECTED of those still to do.
# Callers set VENV_PYTHON, and are in the checkout.

WORTH_TELLING='^(warning: | +(before|best|last) |mAP@0\.5 |parameters .*[-+]|verified |not verified|\|gamma\| < 0\.01)'  # of a log
MOST_WORDS=400  # characters of a command that are shown

begin() {
  FOLDER="$1"
  STEPS=0 STEP=0 SECONDS_EXPECTED=0 TIMED=0 TIMED_EXPECTED=0
  WIDTH=80
  BAR=""
  [[ -t 1 ]] && { BAR=yes; WIDTH="$(tput cols 2>/dev/null || echo 80)"; }
  BOLD="" PLAIN=""
  [[ -n "$BAR" && -z "${NO_COLOR:-}" ]] && { BOLD=$'\e[1m'; PLAIN=$'\e[0m'; }
  TICKER=""
  trap 'stop_ticking' EXIT
}

tell() {
  local name="$1" seconds="$2" title="$3" key
  shift 3
  key="$(key_of "$name" "$@")"
  if [[ -n "${COUNTING:-}" ]]; then
    STEPS=$((STEPS + 1))
    is_done "$name" "$key" || SECONDS_EXPECTED=$((SECONDS_EXPECTED + seconds))
    return
  fi
  STEP=$((STEP + 1))
  printf '\n%s%2d/%d  %s%s\n' "$BOLD" "$STEP" "$STEPS" "$title" "$PLAIN"
  if is_done "$name" "$key"; then
    printf '       is there, made with the same settings: skipped\n'
    compare_clocks "$(<"$FOLDER/steps/$name.seconds")" "$seconds"
  else
    perform "$name" "$seconds" "$key" "$@"
  fi
  { grep -E "$WORTH_TELLING" "$FOLDER/steps/$name.log" || true; } | fold -s -w $((WIDTH - 8)) | sed 's/^/       /'
}

# -- doing ------------------------------------------------------------------------------------------------------------

perform() {  # NAME SECONDS KEY WORDS...
  local name="$1" expected="$2" key="$3" begun="$SECONDS" status=0 log="$FOLDER/steps/$1.log" last="$FOLDER/$1/last.pt" words
  local about=$(($2 * $(pace) / 100))
  shift 3
  mkdir -p "$FOLDER/steps"
  rm -f "$FOLDER/steps/$name.seconds"
  words="$*"
  (( ${#words} <= MOST_WORDS )) || words="${words:0:MOST_WORDS} ... (all of it in $log)"
  printf '       $ python %s\n' "$words"
  if [[ -f "$last" && "$1" == train.py && "$(cat "$FOLDER/steps/$name.key" 2>/dev/null)" == "$key" ]]; then
    printf '       was interrupted, and goes on\n'
    set -- train.py --resume "$last"
  else
    rm -rf "${FOLDER:?}/$name"
    mkdir -p "$FOLDER/$name"
    printf '%s\n' "$key" > "$FOLDER/steps/$name.key"
  fi
  printf '       about %s\n' "$(duration "$about")"
  tick "$log" "$about" &
  TICKER=$!
  printf '$ python %s\n' "$*" > "$log"
  "$VENV_PYTHON" -u "$@" >> "$log" 2>&1 || status=$?
  stop_ticking
  if (( status )); then
    tail -n 8 "$log" | sed 's/^/       /' >&2
    if (( status == 130 )); then
      printf 'interrupted; the same command goes on from here\n' >&2
    else
      printf 'error: step %s ended with exit code %s; all that it said is in %s\n' "$name" "$status" "$log" >&2
    fi
    exit "$status"
  fi
  begun=$((SECONDS - begun))
  ls "$FOLDER/$name" > "$FOLDER/steps/$name.results"
  echo "$begun" > "$FOLDER/steps/$name.seconds"
  printf '       done in %s\n' "$(duration "$begun")"
  compare_clocks "$begun" "$expected"
}

# -- what is there ----------------------------------------------------------------------------------------------------

key_of() {  # NAME WORDS...: the words, and the checksums of the files that they read, with those of a .data file's lists
  local own="$FOLDER/$1/" word part files=()
  shift
  for word in "$@"; do
    while IFS= read -r -d , part; do
      [[ -f "$part" && "$part" != *.py && "$part" != "$own"* ]] || continue
      files+=("$part")
      [[ "$part" != *.data ]] || files+=("${part%/*}"/*.txt)
    done <<< "${word#*=},"
  done
  printf '%s\n' "$*"
  (( ${#files[@]} == 0 )) || cksum "${files[@]}"
}

is_done() {  # NAME KEY
  local steps="$FOLDER/steps" result
  [[ -f "$steps/$1.seconds" && "$(cat "$steps/$1.key" 2>/dev/null)" == "$2" ]] || return 1
  while IFS= read -r result; do
    [[ -e "$FOLDER/$1/$result" ]] || return 1
  done < "$steps/$1.results"
}

# -- time -------------------------------------------------------------------------------------------------------------

compare_clocks() {  # SECONDS EXPECTED: what a step took here, and what it takes on two slow cores
  TIMED=$((TIMED + $1)) TIMED_EXPECTED=$((TIMED_EXPECTED + $2))
}

pace() {  # per cent of the expected time that steps take on this machine, once a minute of them is known
  if (( TIMED_EXPECTED >= 60 && TIMED > 0 )); then echo $((100 * TIMED / TIMED_EXPECTED)); else echo 100; fi
}

duration() {  # SECONDS
  if (( $1 < 180 )); then echo "$1 s"; else echo "$((($1 + 30) / 60)) min"; fi
}

tick() {  # LOG SECONDS: until it is stopped, a bar of the time and the log's last words; without a terminal a line now and then
  local begun="$SECONDS" passed full words bar room=$((WIDTH - 52))
  while sleep 1 > /dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    passed=$((SECONDS - begun)) full=19
    (( 20 * passed >= 19 * $2 )) || full=$((20 * passed / $2))
    words="$(last_words "$1")"
    if [[ -n "$BAR" ]]; then
      bar="$(printf '%*s' "$full" '' | tr ' ' '#')$(printf '%*s' $((20 - full)) '' | tr ' ' '.')"
      printf '\r       [%s] %s of about %s  %s\e[K' "$bar" "$(duration "$passed")" "$(duration "$2")" \
        "${words:0:room > 0 ? room : 0}"
    elif (( passed % 15 == 0 )); then
      printf '       %s of about %s: %s\n' "$(duration "$passed")" "$(duration "$2")" "${words:0:100}"
    fi
  done
}

last_words() {  # LOG: its last epoch, or else its last line
  { tail -n 20 "$1" | grep -aE '^ *[0-9]+/[0-9]+ ' || tail -n 5 "$1" | grep -av '^ *$' || true; } 2>/dev/null | tail -n 1 | tr -s ' '
}

stop_ticking() {
  [[ -n "$TICKER" ]] || return 0
  kill "$TICKER" 2>/dev/null || true
  wait "$TICKER" 2>/dev/null || true
  TICKER=""
  [[ -z "$BAR" ]] || printf '\r\e[K'
}
