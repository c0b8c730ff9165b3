import { COMMANDS, type Command } from './commands.ts';
import { usage } from './failure.ts';
import type { Io } from './io.ts';
import { OPTIONS, type Option, type OptionName } from './options.ts';
import { printText } from './output-buffer.ts';

/** `wsx completion SHELL`. */
export async function completion(io: Io, [shell = '']: readonly string[]): Promise<number> {
  const script = SCRIPTS.get(shell);
  if (script === undefined) throw usage(`no completion for ${shell}; write bash or zsh`);
  await printText(io.stdout, script());
  return 0;
}

const SCRIPTS: ReadonlyMap<string, () => string> = new Map([
  ['bash', bash],
  ['zsh', zsh],
]);

const NAMES = Object.keys(COMMANDS).filter((name) => name !== 'connect');
const FILES = Object.entries<Option>(OPTIONS).flatMap(([name, { value }]) =>
  value === 'FILE' ? [`--${name}`] : [],
);

function optionsOf(name: string): OptionName[] {
  const { options }: Command = COMMANDS[name as keyof typeof COMMANDS];
  return [...options, 'help'];
}

function bash(): string {
  const cases = Object.keys(COMMANDS).map((name) => {
    const flags = optionsOf(name).map((option) => `--${option}`);
    return `    ${name}) flags='${flags.join(' ')}' ;;\n`;
  });
  return `# bash completion of wsx: source <(wsx completion bash)
_wsx() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=connect flags each
  for each in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $each in ${NAMES.join('|')}) command=$each; break ;; esac
  done
  case $command in
${cases.join('')}  esac
  COMPREPLY=()
  case $before in
    ${FILES.join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --static) COMPREPLY=($(compgen -d -- "$word")); return ;;
    completion) COMPREPLY=($(compgen -W 'bash zsh' -- "$word")); return ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  elif [[ $COMP_CWORD == 1 ]]; then
    COMPREPLY=($(compgen -W '${NAMES.join(' ')} ws:// wss://' -- "$word"))
    # The host follows without a space.
    [[ \${COMPREPLY[0]} == ws* ]] && compopt -o nospace 2>/dev/null
  elif [[ $command == record || $command == replay ]]; then
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o nosort -F _wsx wsx 2>/dev/null || complete -F _wsx wsx
`;
}

function zsh(): string {
  const commands = NAMES.map((name) => {
    const { what }: Command = COMMANDS[name as keyof typeof COMMANDS];
    return `    ${quoted(`${name}:${what.replaceAll(':', '\\:')}`)}\n`;
  });
  const cases = Object.keys(COMMANDS).map((name) => {
    const list = optionsOf(name).map((option) => quoted(argumentOf(option)));
    return `    ${name}) _arguments ${list.join(' ')} '*:word:_files' ;;\n`;
  });
  return `#compdef wsx
# zsh completion of wsx: wsx completion zsh > "\${fpath[1]}/_wsx"
_wsx() {
  local -a commands
  commands=(
${commands.join('')}  )
  if (( CURRENT == 2 )) && [[ \${words[2]} != -* ]]; then
    _describe command commands
    compadd -S '' ws:// wss://
    return
  fi
  local command=connect
  if (( \${+commands[(r)\${words[2]}:*]} )); then
    command=\${words[2]}
    shift words
    (( CURRENT-- ))
  fi
  case $command in
${cases.join('')}  esac
}
if [[ $funcstack[1] == _wsx ]]; then _wsx "$@"; else compdef _wsx wsx; fi
`;
}

/** An option as `_arguments` reads it. */
function argumentOf(name: OptionName): string {
  const { value, multiple, what }: Option = OPTIONS[name];
  const text = what.replaceAll(/[[\]:]/g, (mark) => `\\${mark}`);
  const action = value === 'FILE' ? '_files' : value === 'DIR' ? '_files -/' : '';
  const rest =
    value === undefined ? '' : `:${value.replaceAll(':', '\\:').toLowerCase()}:${action}`;
  return `${multiple ? '*' : ''}--${name}[${text}]${rest}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
