import { createLogger, type Logger, type ProxyOptions } from 'vite';

const DEFAULT_URL = 'http://127.0.0.1:8766';

/**
 * Names the console whose figures `npm start` shows: `CONSOLE_URL`, or the default address where it
 * is empty or not set. (`ECHO_TRIO_CONSOLE` is a switch of the server's.)
 * Ends the process with one line, and 2, if it names none.
 */
export function consoleOrigin(env: NodeJS.ProcessEnv): string {
  const given = env.CONSOLE_URL?.trim() ?? '';
  if (given === '') return DEFAULT_URL;
  if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)) {
    console.error(`CONSOLE_URL is not the address of a console, such as ${DEFAULT_URL}: ${given}`);
    process.exit(2);
  }
  return new URL(given).origin;
}

/** Passes what the page asks of its console on to the one at `origin`. */
export function consoleProxy(origin: string): Record<string, ProxyOptions> {
  // The console serves its own host alone, and takes changes from its own origin alone.
  const toConsole = { target: origin, changeOrigin: true, headers: { origin } };
  return { '/api': toConsole, '/metrics': toConsole, '/healthz': toConsole };
}

/** Logs as Vite does, but says once, in one line, that no console answers at `origin`. */
export function consoleLogger(origin: string): Logger {
  const logger = createLogger();
  const error = logger.error.bind(logger);
  let said = false;
  logger.error = (message, options) => {
    if (!message.includes('http proxy error')) {
      error(message, options);
      return;
    }
    // The page asks again and again, and shows by itself once a server is there.
    if (said) return;
    said = true;
    const cause = (options?.error as NodeJS.ErrnoException | undefined)?.code ?? 'no answer';
    logger.warn(`No console at ${origin} (${cause}). To start one: make serve`, options);
  };
  return logger;
}
