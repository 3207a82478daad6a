/**
 * The environment npm needs to reach its registry: the test command takes NODE_EXTRA_CA_CERTS from all other
 * processes, because reading the certificates takes longer than the rest of Node's start up to Node 20.
 */
export function npmEnv(): NodeJS.ProcessEnv {
  const { MITOGEN_NPM_CA_CERTS, ...env } = process.env;
  if (MITOGEN_NPM_CA_CERTS !== undefined) env.NODE_EXTRA_CA_CERTS = MITOGEN_NPM_CA_CERTS;
  return env;
}
