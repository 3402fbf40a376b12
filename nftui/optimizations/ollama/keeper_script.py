"""What the keeper runs, in bash: the server's image has neither curl nor python (AI reference 1.6).

What was used when is read from /api/ps: `expires_at` moves at the end of each request (server/sched.go,
processCompleted). Who asks for an unloading waits for nothing that is at work: the server lets requests end first
(expireRunner). The variables are in keeper.keeper.
"""

from __future__ import annotations

HEARTBEAT = "/tmp/nftui-until"  # noqa: S108 - inside the keeper's own container
"""Until when, in seconds since 1970, the last answer of the server counts."""

SCRIPT = r"""
declare -A need options size context expires last used kept_size kept_context told retry pause
order=() lost= watch= now=0 sum=0 REPLY=

while read -r name bytes json; do
  [[ $name ]] && order+=("$name") && need[$name]=$bytes options[$name]=$json
done <<< "$NFTUI_MODELS"

ask() { # METHOD PATH BODY SECONDS: the answer, head and body
  { exec 3<>"/dev/tcp/$NFTUI_HOST/$NFTUI_PORT"; } 2>/dev/null || return 1
  printf '%s %s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "$NFTUI_HOST" "${#3}" "$3" >&3
  timeout "$4" cat <&3
}

trust() { # SECONDS: for so long the healthcheck is content
  printf -v now '%(%s)T' -1
  echo "$((now + $1))" > HEARTBEAT
}

look() { # what is in memory now; fails where the server does not answer
  local answer field key text name=
  answer=$(ask GET /api/ps '' 10) || return 1
  [[ $answer == *'"models":'* ]] || return 1
  size=() context=() expires=()
  while IFS= read -r field; do
    key=${field%%:*} text=${field#*:}
    text=${text# } text=${text#\"} text=${text%\"}
    if [[ $key == '"name"' ]]; then
      name=$text
      [[ $name =~ ^[A-Za-z0-9._/:@-]+$ ]] || name=
      [[ $name ]] && size[$name]=0 context[$name]=0 expires[$name]=
    fi
    [[ $name ]] || continue
    case $key in
      "\"$NFTUI_MEASURE\"") size[$name]=$text ;;
      '"context_length"') context[$name]=$text ;;
      '"expires_at"') expires[$name]=$text ;;
    esac
  done < <(grep -oE '"(name|expires_at)": *"[^"]*"|"(size|size_vram|context_length)": *[0-9]+' <<< "$answer")
  total
}

total() { # bytes in memory
  local name
  sum=0
  for name in "${!size[@]}"; do sum=$((sum + ${size[$name]})); done
}

remember() { # who was used since the last look
  local name
  for name in "${!size[@]}"; do
    [[ ${expires[$name]} == "${last[$name]-}" && ${used[$name]-} ]] || used[$name]=$now
    last[$name]=${expires[$name]} kept_size[$name]=${size[$name]} kept_context[$name]=${context[$name]}
  done
}

forget() { # who left memory with its server still there
  local name
  for name in "${!last[@]}"; do
    [[ ${size[$name]+x} ]] || unset "last[$name]" "kept_size[$name]" "kept_context[$name]"
  done
}

oldest() { # SECONDS: the guest that was used least recently, by nobody for so long; fails where there is none
  local name when best
  REPLY=
  for name in "${!size[@]}"; do
    [[ ${need[$name]+x} ]] && continue
    when=${used[$name]-$now}
    (( now - when >= $1 )) || continue
    [[ ! $REPLY ]] || (( when < best )) || continue
    REPLY=$name best=$when
  done
  [[ $REPLY ]]
}

embed() { # FIELDS SECONDS: servers before 0.2.6 have another route for a word to embed
  answer=$(ask POST /api/embed "{$1,\"input\":\"nftui\"}" "$2")
  if [[ $answer == *'page not found'* ]]; then
    answer=$(ask POST /api/embeddings "{$1,\"prompt\":\"nftui\"}" "$2")
  fi
}

unload() { # NAME WHY: the server lets what is at work end first
  local name=$1 answer idle=$((now - ${used[$1]-$now}))
  echo "unloading $name: $2; of those that are not to stay it was used least recently, $idle s ago"
  answer=$(ask POST /api/generate "{\"model\":\"$name\",\"keep_alive\":0,\"stream\":false}" 60)
  if [[ $answer == *'support generate'* ]]; then # servers before 0.3.11 unload an embedding model only so
    embed "\"model\":\"$name\",\"keep_alive\":0" 60
  fi
  for _ in 1 2 3 4 5; do
    look || return 1
    [[ ${size[$name]+x} ]] || { forget; return 0; }
    sleep 1
  done
  echo "$name is still at work; it goes when its requests are done"
  return 1
}

is_room() { # BYTES PLACES: whether so much more fits, and so many places are free
  (( ${#size[@]} + $2 <= NFTUI_PLACES )) && (( NFTUI_ROOM == 0 || sum + $1 <= NFTUI_ROOM ))
}

make_room() { # BYTES WHY: of the guests, the one used least recently goes first
  until is_room "$1" 1; do
    oldest "$NFTUI_POLL_S" && unload "$REPLY" "$2" || return 1
  done
}

hold_off() { # NAME WHY: not again for a minute, and each time twice as long, up to an hour
  [[ ${pause[$1]-} ]] || echo "$1 $2; not loaded again for 60 s, and longer each time that it comes to that"
  pause[$1]=$((${pause[$1]-30} < 1800 ? ${pause[$1]-30} * 2 : 3600))
  retry[$1]=$((now + ${pause[$1]}))
}

weigh() { # NAME BEFORE: what a load without an error came to; the server makes room by its own view of memory
  local name
  is_restarted && { lost=${lost:-1}; return 1; }
  [[ ${size[$1]+x} ]] || hold_off "$1" "is not listed although it was loaded: its file may be held by another name"
  for name in "${order[@]}"; do
    [[ $name != "$1" && $2 == *" $name "* && ! ${size[$name]+x} ]] || continue
    hold_off "$name" "left memory when $1 was loaded: the server has no room for both"
  done
}

load() { # NAME OPTIONS KEEP_ALIVE_OR_NOTHING
  local answer before=" ${!size[*]} " rest="\"model\":\"$1\",\"options\":$2${3:+,\"keep_alive\":$3}"
  trust "$NFTUI_LOAD_S"
  answer=$(ask POST /api/generate "{$rest,\"stream\":false}" "$NFTUI_LOAD_S")
  if [[ $answer == *'support generate'* ]]; then
    embed "$rest" "$NFTUI_LOAD_S"
  fi
  trust "$NFTUI_TRUST_S"
  if [[ $answer == *'"error"'* ]]; then
    echo "$1 could not be loaded: ${answer##*$'\n'}"
    retry[$1]=$((now + 60))
    look && remember
    return
  fi
  look && remember && weigh "$1" "$before"
}

keep() { # the models that are to stay
  local name may
  for name in "${order[@]}"; do
    [[ ${size[$name]+x} ]] && { told[$name]=; continue; }
    (( now >= ${retry[$name]-0} )) || continue
    may=
    if [[ $NFTUI_ORDER == lru ]]; then
      make_room "${need[$name]}" "room is needed for $name" && may=1
    elif (( ${#size[@]} >= NFTUI_PLACES )) || is_room "${need[$name]}" 1; then
      may=1 # where no place is free the server itself unloads one that is not to stay
    fi
    if [[ $may ]]; then
      echo "loading $name, which is to stay"
      load "$name" "${options[$name]}" "$NFTUI_KEEP_ALIVE" || return 1
    elif [[ ! ${told[$name]-} ]]; then
      echo "$name has to wait: it takes ${need[$name]} bytes, $sum of $NFTUI_ROOM are taken by ${#size[@]} models"
      told[$name]=1
    fi
  done
}

bring_back() { # after a restart of the server: what was in memory, the last used first, while a place stays free
  local name tokens rest
  while read -r _ name; do
    [[ ! $name || ${size[$name]+x} || ${need[$name]+x} ]] && continue
    is_room "${kept_size[$name]}" 2 || continue
    echo "loading $name again, which was in memory before the server restarted"
    tokens=${kept_context[$name]}
    [[ $tokens == 0 ]] && rest='{}' || rest="{\"num_ctx\":$tokens}"
    load "$name" "$rest" || return 1
  done <<< "$1"
}

recent() { # names of what was in memory, the last used first
  local name
  for name in "${!last[@]}"; do echo "${used[$name]} $name"; done | sort -rn
}

local_models() { # how many there are to ask for: names of one model count once, and what is in a cloud takes no place
  local id bytes
  local -A seen=()
  while read -r _ id bytes _; do
    [[ $id && $bytes != - ]] && seen[$id]=1
  done < <(ollama ls 2>/dev/null | tail -n +2)
  echo "${#seen[@]}"
}

order_by_use() { # nothing over the budget, and a place free for whoever is asked for next
  while (( NFTUI_ROOM > 0 && sum > NFTUI_ROOM )); do
    oldest "$NFTUI_POLL_S" && unload "$REPLY" "$sum bytes are in memory, $NFTUI_ROOM are there for models" || return
  done
  (( ${#size[@]} >= NFTUI_PLACES )) && oldest "$NFTUI_IDLE_S" || return
  (( $(local_models) > ${#size[@]} )) && unload "$REPLY" "the next model needs a place, and all $NFTUI_PLACES are taken"
}

is_restarted() { # a connection that asks nothing ends only with its server
  [[ ! $watch ]] && return 1
  read -r -t 0.05 -u 4 _ 2>/dev/null
  (( $? <= 128 )) || return 1
  exec 4>&- 4<&-
  watch=
}

rm -f HEARTBEAT
echo "watching $NFTUI_HOST:$NFTUI_PORT: ${#order[@]} models are to stay${order:+ (${order[*]})}; others go" \
  "$([[ $NFTUI_ORDER == lru ]] && echo "by last use, after $NFTUI_IDLE_S s" || echo "as the server says")"
while sleep "$NFTUI_POLL_S" & wait $!; do
  is_restarted && lost=${lost:-1}
  if ! look; then
    [[ $lost == told ]] || echo "no answer from $NFTUI_HOST:$NFTUI_PORT; asking again every $NFTUI_POLL_S s"
    lost=told
    continue
  fi
  trust "$NFTUI_TRUST_S"
  [[ $watch ]] || { { exec 4<>"/dev/tcp/$NFTUI_HOST/$NFTUI_PORT"; } 2>/dev/null && watch=1; }
  [[ $lost ]] && before=$(recent) || before=
  [[ $lost == told ]] && echo "it answers again"
  [[ $lost ]] && pause=() retry=()
  lost=
  remember
  keep || continue
  if [[ $NFTUI_ORDER == lru ]]; then
    [[ $before ]] && { bring_back "$before" || continue; }
    order_by_use
  fi
  forget
done
""".replace("HEARTBEAT", HEARTBEAT).lstrip()

HEALTHCHECK = f"read -r until < {HEARTBEAT}; printf -v now '%(%s)T' -1; (( until > now ))"
