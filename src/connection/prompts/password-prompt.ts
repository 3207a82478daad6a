/** "Password" as PAM modules, sudo, su and ssh servers say it in other languages, in lower case. */
const WORDS = [
  "password",
  "passwort",
  "kennwort",
  "mot de passe",
  "contraseña",
  "contrasenya",
  "senha",
  "palavra-passe",
  "parola",
  "parolă",
  "wachtwoord",
  "adgangskode",
  "lösenord",
  "passord",
  "salasana",
  "parool",
  "hasło",
  "heslo",
  "geslo",
  "lozinka",
  "jelszó",
  "slaptažodis",
  "parole",
  "пароль",
  "парола",
  "лозинка",
  "κωδικός",
  "συνθηματικό",
  "şifre",
  "mật khẩu",
  "รหัสผ่าน",
  "पासवर्ड",
  "סיסמ",
  "كلمة",
  "密码",
  "口令",
  "密碼",
  "パスワード",
  "암호",
  "비밀번호",
];

/** How many characters may stand between the word and the colon: `password for ada`. */
const MAX_BETWEEN = 80;

/**
 * Whether unterminated text asks for a password: it must hold the word, in any of the languages above, and a
 * colon at the very end. Without the colon, a sentence about passwords that arrives in pieces would be taken
 * for the question.
 */
export function isPasswordPrompt(text: string): boolean {
  const question = withoutColon(text);
  if (question === undefined) return false;
  const near = question.toLowerCase().normalize("NFC").slice(-MAX_BETWEEN);
  return WORDS.some((word) => near.includes(word));
}

/**
 * Whether unterminated text ends with a question that the caller has named. Case and trailing spaces do not
 * matter.
 */
export function endsWithPrompt(text: string, prompt: string): boolean {
  const wanted = prompt.trim().toLowerCase();
  return wanted !== "" && text.trim().toLowerCase().endsWith(wanted);
}

/**
 * Removes the colon at the end. French puts a no-break space before it; Chinese and Japanese use a wide
 * colon.
 */
function withoutColon(text: string): string | undefined {
  return /^([\s\S]*)[:：]\s*$/.exec(text)?.[1];
}
