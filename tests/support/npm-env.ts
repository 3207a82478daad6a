/**
 * The environment that npm needs to reach its registry. The test command removes NODE_EXTRA_CA_CERTS for all other
 * processes, because up to Node 20 reading the certificates takes longer than the rest of Node's start.
 */
export function npmEnv(): NodeJS.ProcessEnv {
  const { MITOGEN_NPM_CA_CERTS, ...env } = process.env;
  if (MITOGEN_NPM_CA_CERTS !== undefined) env.NODE_EXTRA_CA_CERTS = MITOGEN_NPM_CA_CERTS;
  return env;
}
