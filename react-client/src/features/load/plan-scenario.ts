/** A plan of the form as a scenario: what each of its sockets does, as a user's own code. */
import type { Scenario } from '../../components/scenario-dialog';
import { pythonNumber, pythonString } from '../../lib/python-text';
import { readTyped } from '../../lib/typed-values';
import { checkPlan } from './plan-checks';
import { commandOf } from './plan-command';
import { isAsked, type PlanForm, toBody } from './plan-form';

const FILE = 'planned.py';
/** As the generator has them: see `loadgen/workload/payloads.py`. */
const MESSAGE = { template: '{conn}-{seq}', size: '32', padding: '.' };
/** Of the settings of a plan, those that a run of a scenario has as well. */
const OF_THE_RUN = [
  ...['count', 'url', 'duration', 'connect_concurrency', 'connect_rate', 'connect_timeout'],
  ...['stop_timeout', 'compression', 'workers', 'seed', 'fail_if'],
];

/** Returns why there is none, in a sentence, where a user's code can't say what the plan says. */
export function scenarioOfPlan(form: PlanForm, ownUrl: string | null): Scenario | string {
  const whyNot = whyNoScenario(form);
  if (whyNot !== null) return whyNot;
  const script = new Script(form, form.url.trim() || (ownUrl ?? 'ws://127.0.0.1:8765/'));
  return {
    fileName: FILE,
    script: script.write(),
    commands: [script.command('1', ['--trace']), script.command(form.count.trim())],
    notes:
      isAsked('arrivals', form) && form.arrivals === 'poisson'
        ? ['The plan’s messages fall due at random, those of a pace evenly.']
        : [],
  };
}

function whyNoScenario(form: PlanForm): string | null {
  if (form.scenario !== '') return `It is one already: ${form.scenario}.`;
  const [field] = Object.keys(checkPlan(form));
  if (field !== undefined) return `There is something wrong with the plan’s ${wordsOf(field)}.`;
  if (form.drive === 'stages') {
    return 'Stages change the rate of all sockets together; a user of a scenario has a steady pace of its own.';
  }
  const patterns = patternsOf(form);
  const isText = patterns.has('regex') || form.verify === 'regex' || form.verify === 'exact';
  if (isText && (patterns.has('json') || form.verify === 'json')) {
    return 'A user’s frames are either decoded from JSON or texts; the plan looks for both.';
  }
  if (isAsked('lifetime', form) && form.lifetime.trim() !== '') {
    return 'A lifetime closes sockets and opens others; a user of a scenario says itself when it connects.';
  }
  return null;
}

/** `json`, `regex`, `any`: the kinds of what the server says by itself. */
function patternsOf({ expect, ignore }: PlanForm): ReadonlySet<string> {
  return new Set(linesOf(`${expect}\n${ignore}`).map((line) => line.split(':')[0] ?? ''));
}

function wordsOf(field: string): string {
  return field.replaceAll('_', ' ');
}

class Script {
  readonly #form: PlanForm;
  readonly #url: string;
  readonly #imports = new Set<string>();
  readonly #names = new Set(['User', 'scenario']);
  /** Above the function: constants, and functions that it calls. */
  readonly #above: string[] = [];

  constructor(form: PlanForm, url: string) {
    this.#form = form;
    this.#url = url;
  }

  command(count: string, more: readonly string[] = []): string {
    const body = Object.fromEntries(
      Object.entries(toBody(this.#form)).filter(([name]) => OF_THE_RUN.includes(name)),
    );
    // What the plan counts as corrupt is here a check that fails.
    const limits = [this.#form.fail_if, ...(this.#names.has('check') ? ['checks.failed>0'] : [])];
    const failIf = limits.flatMap((text) => text.split('\n')).filter((line) => line.trim() !== '');
    const run = { ...body, count, url: this.#base(), scenario: FILE };
    const command = commandOf(failIf.length === 0 ? run : { ...run, fail_if: failIf });
    return [command, ...more].join(' ');
  }

  write(): string {
    const body = this.#writeBody();
    const head = [
      '"""Say what one user does: what a socket of the plan does.',
      '',
      `    ${this.command('1', ['--trace'])}`,
      `    ${this.command(this.#form.count.trim())}`,
      '"""',
      '',
    ];
    const imports = [...this.#imports].sort().map((name) => `import ${name}`);
    // As ruff has it: names with a capital letter first.
    const names = [...this.#names].sort().join(', ');
    return [
      ...head,
      ...(imports.length > 0 ? [...imports, ''] : []),
      `from loadgen.scenario import ${names}`,
      ...this.#above,
      '',
      '',
      '@scenario',
      'async def planned(user: User) -> None:',
      ...body.map((line) => (line === '' ? '' : `    ${line}`)),
      '',
    ].join('\n');
  }

  #isFanOut(): boolean {
    return this.#form.verify === 'fan-out';
  }

  /** Where the run goes: with rooms the path is each user's own. */
  #base(): string {
    return this.#isFanOut() ? new URL('/', this.#url).href : this.#url;
  }

  #writeBody(): string[] {
    const { drive } = this.#form;
    const lines = this.#isFanOut() ? this.#writeRoom() : [];
    lines.push(`async with user.connect(${this.#writeConnect()}) as ws:`);
    const inside = [...this.#writeGreeting()];
    if (drive === 'idle') {
      inside.push('# Nothing is sent, and what the server sends is counted.');
      inside.push('async for _ in ws.stream("pushed"):', '    pass');
    } else if (drive === 'closed-loop') inside.push(...this.#writeClosedLoop());
    else inside.push(...this.#writeOpenLoop());
    return [...lines, ...inside.map((line) => `    ${line}`)];
  }

  #writeRoom(): string[] {
    const rooms = String(valueOf('count', this.#form.rooms) ?? 1);
    this.#above.push('', `ROOMS = ${rooms}  # among which the users are dealt out in turn`);
    return ['room = user.number % ROOMS'];
  }

  #writeConnect(): string {
    if (this.#isFanOut()) {
      const { pathname, search } = new URL(this.#url);
      // The braces alone: what else is encoded means something else when it is not.
      const path = pathname.replace(/%7B/gi, '{').replace(/%7D/gi, '}') + search;
      return `${this.#formatted(splitTemplate(path, ['room']))}, json=False`;
    }
    return this.#areFramesTexts() ? 'json=False' : '';
  }

  /** Whether frames are compared as texts: JSON among them is not to be decoded then. */
  #areFramesTexts(): boolean {
    return this.#form.verify !== 'json' && !patternsOf(this.#form).has('json');
  }

  #writeGreeting(): string[] {
    const { expect, ignore, verify, drive } = this.#form;
    const lines = linesOf(ignore).map((pattern) => `ws.ignore(${this.#writePattern(pattern)})`);
    lines.push(
      ...linesOf(expect).map((pattern) => `await ws.expect(${this.#writePattern(pattern)})`),
    );
    if (verify === 'fan-out') lines.push('ws.subscribe(f"room {room}")');
    if (verify === 'off' && drive !== 'closed-loop' && drive !== 'idle') {
      lines.push('ws.ignore()  # nothing is owed: what comes is counted');
    }
    return lines;
  }

  /** `json:type=tick` → `type='tick'`. */
  #writePattern(pattern: string): string {
    const [kind = '', ...rest] = pattern.split(':');
    const content = rest.join(':');
    if (kind === 'regex') {
      this.#imports.add('re');
      return `lambda frame: isinstance(frame, str) and re.search(${pythonString(content)}, frame)`;
    }
    if (kind !== 'json') return '';
    const [path = '', ...parts] = content.split('=');
    const value = pythonOf(parts.join('='));
    // These two are settings of the call itself.
    if (path === 'name' || path === 'timeout') {
      return `lambda frame: isinstance(frame, dict) and frame.get(${pythonString(path)}) == ${value}`;
    }
    const isPlain = /^[A-Za-z_]\w*$/.test(path) && !KEYWORDS.has(path);
    return isPlain ? `${path}=${value}` : `**{${pythonString(path)}: ${value}}`;
  }

  #writeOpenLoop(): string[] {
    const { drive, rate_per_conn, rate, messages, verify } = this.#form;
    const lines: string[] = [];
    if (drive === 'total') {
      const [all, users] = [valueOf('rate', rate), valueOf('count', this.#form.count)];
      this.#above.push(
        '',
        `RATE = ${pythonNumber(String(all))}  # a second, of all users together`,
        `USERS = ${String(users)}  # as many as the run has`,
      );
      lines.push('async for due in user.pace(RATE / USERS):');
    } else lines.push(`async for due in user.pace(${double(rate_per_conn.trim() || '1/s')}):`);
    const inside = [`message = ${this.#writeMessage('due.number')}`];
    if (verify === 'off') inside.push('await ws.send(message, name="message", due=due)');
    else if (verify === 'fan-out') {
      inside.push('await ws.publish(message, topic=f"room {room}", name="message", due=due)');
    } else inside.push(...this.#writeRequest(', due=due'));
    const most = valueOf('count', messages);
    if (most !== null) inside.push(`if due.number + 1 == ${String(most)}:`, '    break');
    return [...lines, ...inside.map((line) => `    ${line}`)];
  }

  #writeClosedLoop(): string[] {
    const { think, messages, verify } = this.#form;
    const most = valueOf('count', messages);
    const limit = most === null ? '' : ` and number < ${String(most)}`;
    const inside = [`message = ${this.#writeMessage('number')}`];
    if (verify === 'off') {
      inside.push('await ws.send(message, name="message")', 'await ws.expect()');
    } else if (verify === 'fan-out') {
      inside.push('await ws.publish(message, topic=f"room {room}", name="message")');
    } else inside.push(...this.#writeRequest(''));
    inside.push('number += 1');
    const pause = valueOf('duration', think);
    if (pause !== null && pause > 0) inside.push(`await user.sleep(${double(think.trim())})`);
    return [
      'await user.ready()',
      'number = 0',
      `while user.in_load${limit}:`,
      ...inside.map((line) => `    ${line}`),
    ];
  }

  #writeRequest(due: string): string[] {
    const { verify, json_path, pattern, binary } = this.#form;
    const call = (more: string) => `await ws.request(message, name="message"${more}${due})`;
    switch (verify) {
      case 'json':
        return [call(`, reply=${pythonString(json_path.trim())}`)];
      case 'regex':
        this.#imports.add('re');
        this.#above.push(
          '',
          `PATTERN = re.compile(${pythonString(pattern)})`,
          '',
          '',
          'def key_of(frame: str | bytes) -> str | None:',
          '    text = frame if isinstance(frame, str) else frame.decode("utf-8", "surrogateescape")',
          '    found = PATTERN.search(text)',
          '    return None if found is None else found[1 if PATTERN.groups else 0]',
        );
        return [
          'key = key_of(message)',
          call(', reply=lambda frame, key=key: key_of(frame) == key'),
        ];
      case 'exact':
        this.#names.add('check');
        return [`reply = ${call('')}`, 'check("the reply is the message", reply == message)'];
      case 'suffix': {
        this.#names.add('check');
        this.#imports.add('re');
        const kind = binary ? 'bytes' : 'str';
        const suffix = binary ? 'b" [0-9]{1,6}"' : '" [0-9]{1,6}"';
        this.#above.push(
          '',
          '',
          `def is_echo(reply: object, message: ${kind}) -> bool:`,
          `    wanted = re.escape(message) + ${suffix}`,
          `    return isinstance(reply, ${kind}) and re.fullmatch(wanted, reply) is not None`,
        );
        return [
          `reply = ${call('')}`,
          'check("the reply is the message and a number", is_echo(reply, message))',
        ];
      }
      case 'turn':
      case 'fan-out':
      case 'off':
        return [call('')];
    }
  }

  #writeMessage(number: string): string {
    const { message, size, binary, verify } = this.#form;
    const template = message === '' ? MESSAGE.template : message;
    const bytes = valueOf(
      'size',
      size.trim() || (template === MESSAGE.template ? MESSAGE.size : ''),
    );
    let text = this.#formatted(splitTemplate(template), number);
    if (bytes !== null) text = `${text}.ljust(${String(bytes)}, "${MESSAGE.padding}")`;
    if (verify === 'json' && !binary) {
      this.#imports.add('json');
      return `json.loads(${text})`;
    }
    return binary ? `${text}.encode()` : text;
  }

  /** A template as a text of Python: formatted, if there is something to fill in. */
  #formatted(parts: readonly string[], number = ''): string {
    if (parts.length === 1) return pythonString(parts[0] ?? '');
    const filled = parts.map((part, place) => {
      if (place % 2 === 0) return part.replace(/[{}]/g, '$&$&');
      switch (part) {
        case 'conn':
          return '{user.number}';
        case 'seq':
          return `{${number}}`;
        case 'now':
          this.#imports.add('time');
          return '{time.time_ns() // 1_000_000}';
        case 'room':
          return this.#isFanOut() ? '{room}' : '0';
        default:
          return '{user.random.getrandbits(32)}';
      }
    });
    return `f${pythonString(filled.join(''))}`;
  }
}

/**
 * Takes a template apart as the generator does: even parts are text, odd ones are placeholders.
 * A `}}` without a `{{` before it is no escape: nested JSON ends like that.
 */
export function splitTemplate(
  text: string,
  words: readonly string[] = ['conn', 'seq', 'now', 'random', 'room'],
): string[] {
  const parts = [''];
  let [at, escaped] = [0, 0];
  const add = (more: string) => (parts[parts.length - 1] = `${parts.at(-1) ?? ''}${more}`);
  for (const found of text.matchAll(new RegExp(`\\{\\{|\\}\\}|\\{(${words.join('|')})\\}`, 'g'))) {
    add(text.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[1] !== undefined) parts.push(found[1], '');
    else if (found[0] === '{{') {
      add('{');
      escaped += 1;
    } else if (escaped > 0) {
      add('}');
      escaped -= 1;
    } else add('}}');
  }
  add(text.slice(at));
  return parts;
}

function linesOf(text: string): string[] {
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
}

function valueOf(kind: 'count' | 'rate' | 'duration' | 'size', text: string): number | null {
  const read = readTyped(kind, text.trim());
  return 'value' in read ? read.value : null;
}

/** A value of a pattern: JSON if it is that, else a text. */
function pythonOf(text: string): string {
  const word = { true: 'True', false: 'False', null: 'None' }[text];
  if (word !== undefined) return word;
  if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)) return pythonNumber(text);
  if (/^".*"$/.test(text)) {
    try {
      return pythonString(String(JSON.parse(text)));
    } catch {
      // Then it is a text with quotes.
    }
  }
  return pythonString(text);
}

/** What the form has checked has no quotes in it. */
function double(text: string): string {
  return `"${text}"`;
}

const KEYWORDS = new Set(
  (
    'False None True and as assert async await break class continue def del elif else except ' +
    'finally for from global if import in is lambda nonlocal not or pass raise return try while ' +
    'with yield meant'
  ).split(' '),
);
