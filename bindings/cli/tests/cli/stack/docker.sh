#!/bin/sh
# Stands in for the docker command: notes what it is asked, answers as docker does, and lets the
# real recorder run where a container would. $DOUBLE is the folder with what it remembers.
printf '%s\n' "$*" >> "$DOUBLE/asked"

# The words after the options that come first.
words() {
  while [ $# -gt 0 ]; do
    case "$1" in
      compose) ;;
      -f) printf '%s ' "$2" >> "$DOUBLE/files"; shift ;;
      -p) shift ;;
      *) break ;;
    esac
    shift
  done
  echo "$*"
}

row() { # service state port target
  if [ "$3" -gt 0 ]; then
    publishers='[{"URL":"127.0.0.1","TargetPort":'"$4"',"PublishedPort":'"$3"',"Protocol":"tcp"}]'
  else
    publishers='null'
  fi
  printf '{"ID":"0","Name":"opik-rs-%s-1","Service":"%s","State":"%s","Health":"","ExitCode":0,"Publishers":%s}\n' "$1" "$1" "$2" "$publishers"
}

end_recorder() {
  if [ -f "$DOUBLE/recorder.pid" ]; then
    pid=$(cat "$DOUBLE/recorder.pid"); rm "$DOUBLE/recorder.pid"
    kill -TERM "$pid" 2>/dev/null
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
  fi
}

case "$*" in
  "version --format {{.Server.Version}}")
    if [ -f "$DOUBLE/no-engine" ]; then
      echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2
      exit 1
    fi
    echo 28.3.2; exit 0 ;;
  "compose version") echo "Docker Compose version v2.38.2"; exit 0 ;;
  "network inspect vyasa-net")
    [ -f "$DOUBLE/network" ] && { echo '[{"Name":"vyasa-net"}]'; exit 0; }
    echo 'Error response from daemon: network vyasa-net not found' >&2; exit 1 ;;
  "network create vyasa-net") touch "$DOUBLE/network"; echo 0f3e; exit 0 ;;
esac

rest=$(words "$@")
case "$rest" in
  "config --services")
    case "$*" in *application.yml*) printf 'drafter\norchestrator\n' ;; esac
    case "$*" in *compose.opik.yaml*) printf 'opik-api\nopik-postgres\n' ;; esac ;;
  "config --format json")
    printf '{"name":"x","services":{'
    case "$*" in *application.yml*) printf '"drafter":{"ports":[{"mode":"ingress","target":11434,"published":"%s","protocol":"tcp"}]},' "$DRAFTER_PORT" ;; esac
    printf '"opik-api":{"ports":[{"mode":"ingress","host_ip":"127.0.0.1","target":5000,"published":"%s","protocol":"tcp"}]},' "$OPIK_API_PORT"
    printf '"opik-postgres":{"ports":[{"mode":"ingress","host_ip":"127.0.0.1","target":5432,"published":"%s","protocol":"tcp"}]}}}\n' "$OPIK_POSTGRES_PORT" ;;
  "ps --all --format json")
    if [ -f "$DOUBLE/recorder.pid" ]; then
      row opik-api running "$OPIK_API_PORT" 5000
      row opik-postgres running "$OPIK_POSTGRES_PORT" 5432
    elif [ -f "$DOUBLE/was-up" ]; then
      row opik-api exited 0 0
      row opik-postgres running "$OPIK_POSTGRES_PORT" 5432
    fi ;;
  "up --detach"*)
    [ -f "$DOUBLE/network" ] || { echo 'network vyasa-net declared as external, but could not be found' >&2; exit 1; }
    printf '%s %s %s %s\n' "$OPIK_SERVER_API_KEY" "$OPIK_POSTGRES_PASSWORD" "$OPIK_UID" "$OPIK_GID" > "$DOUBLE/secrets"
    touch "$DOUBLE/was-up"
    if [ ! -f "$DOUBLE/recorder.pid" ] && [ ! -f "$DOUBLE/broken" ]; then
      HOST=127.0.0.1 PORT=$OPIK_API_PORT OPIK_DB="$OPIK_STACK_DATA/opik/traces.db" OPIK_SERVER_VYASA=true \
        "$OPIK_RS" serve >> "$DOUBLE/recorder.log" 2>&1 &
      echo $! > "$DOUBLE/recorder.pid"
    fi
    echo ' Container opik-rs-opik-api-1  Started' >&2 ;;
  "down") end_recorder; rm -f "$DOUBLE/was-up"; echo ' Container opik-rs-opik-api-1  Removed' >&2 ;;
  "stop opik-api") end_recorder ;;
  "logs"*) echo 'opik-api-1  | recording at http://127.0.0.1:5000/api/' ;;
  *) echo "unknown command: $rest" >&2; exit 1 ;;
esac
