/**
 * Scripts with which shells complete `mitogen`. Each asks the program. The first line of the answer is `open` if no
 * space follows the word. The others are candidates, each with a tab and a description.
 */
export const SCRIPTS = {
  bash: `# mitogen completion bash. Load it: source <(mitogen completion bash)
_mitogen() {
  local IFS=$'\\n' answer
  answer=($(command mitogen completion candidates bash "$COMP_WORDBREAKS" "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
  COMPREPLY=("\${answer[@]:1}")
  [[ \${answer[0]-} == open ]] && compopt -o nospace
}
complete -F _mitogen mitogen
`,
  zsh: `#compdef mitogen
# mitogen completion zsh. Load it: source <(mitogen completion zsh)
_mitogen() {
  local -a answer names abouts
  local line
  answer=("\${(@f)$(command mitogen completion candidates zsh -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  for line in "\${(@)answer[2,-1]}"; do
    names+=("\${line%%$'\\t'*}")
    abouts+=("\${line%%$'\\t'*}  \${line#*$'\\t'}")
  done
  (( \${#names} )) || return 1
  if [[ $answer[1] == open ]]; then compadd -S '' -l -d abouts -a names
  else compadd -l -d abouts -a names
  fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _mitogen mitogen
`,
  fish: `# mitogen completion fish. Load it: mitogen completion fish | source
function __mitogen_candidates
  set -l words (commandline -opc)
  command mitogen completion candidates fish -- $words[2..] (commandline -ct | string unescape) 2>/dev/null | tail -n +2
end
complete -c mitogen -f -a '(__mitogen_candidates)'
`,
} as const;
