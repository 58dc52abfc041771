import { describe, expect, it } from 'vitest';

import { EMPTY_PLAN, type PlanForm } from './plan-form';
import { scenarioOfPlan, splitTemplate } from './plan-scenario';

function scriptOf(plan: Partial<PlanForm>): string {
  const found = scenarioOfPlan({ ...EMPTY_PLAN, ...plan }, 'ws://127.0.0.1:8765/');
  return typeof found === 'string' ? found : found.script;
}

describe('a plan as a scenario', () => {
  it('says what one socket of the default plan does', () => {
    expect(scriptOf({})).toBe(`"""Say what one user does: what a socket of the plan does.

    python -m loadgen 1 ws://127.0.0.1:8765/ --duration=10s --scenario=planned.py '--fail-if=checks.failed>0' --trace
    python -m loadgen 1000 ws://127.0.0.1:8765/ --duration=10s --scenario=planned.py '--fail-if=checks.failed>0'
"""

import re

from loadgen.scenario import User, check, scenario


def is_echo(reply: object, message: str) -> bool:
    wanted = re.escape(message) + " [0-9]{1,6}"
    return isinstance(reply, str) and re.fullmatch(wanted, reply) is not None


@scenario
async def planned(user: User) -> None:
    async with user.connect(json=False) as ws:
        async for due in user.pace("1/s"):
            message = f'{user.number}-{due.number}'.ljust(32, ".")
            reply = await ws.request(message, name="message", due=due)
            check("the reply is the message and a number", is_echo(reply, message))
`);
  });

  it('finds replies as the plan does', () => {
    const call = { message: '{"id": {seq}, "m": {"q": "it\'s"}}', ignore: 'json:type=tick' };
    const json = scriptOf({ ...call, verify: 'json', json_path: 'id=replyTo', expect: 'any' });
    expect(json).toContain(`ws.ignore(type='tick')\n        await ws.expect()`);
    expect(json).toContain(
      String.raw`json.loads(f'{{"id": {due.number}, "m": {{"q": "it\'s"}}}}')`,
    );
    expect(json).toContain(`ws.request(message, name="message", reply='id=replyTo', due=due)`);
    const regex = scriptOf({ verify: 'regex', pattern: String.raw`id=(\d+)` });
    expect(regex).toContain(String.raw`PATTERN = re.compile('id=(\\d+)')`);
    const rooms = scriptOf({ verify: 'fan-out', rooms: '4', url: 'ws://h/room/{room}?x=1' });
    expect(rooms).toContain(`user.connect(f'/room/{room}?x=1', json=False)`);
    expect(rooms).toContain('loadgen 1000 ws://h/ --duration=10s --scenario=planned.py\n');
    const coded = scriptOf({ verify: 'fan-out', url: 'ws://h/a%2Fb/100%/{room}' });
    expect(coded).toContain(`user.connect(f'/a%2Fb/100%/{room}', json=False)`);
  });

  it('sends as the plan does', () => {
    const loop = scriptOf({ drive: 'closed-loop', think: '50ms', messages: '3', verify: 'exact' });
    expect(loop).toContain('while user.in_load and number < 3:');
    expect(loop).toContain('await user.sleep("50ms")');
    expect(scriptOf({ drive: 'total', rate: '2k/s', count: '10' })).toContain(
      'RATE = 2000  # a second, of all users together\nUSERS = 10  # as many as the run has',
    );
    expect(scriptOf({ drive: 'idle' })).toContain('async for _ in ws.stream("pushed"):');
    expect(scriptOf({ binary: true, message: 'x', size: '2' })).toContain(
      `'x'.ljust(2, ".").encode()`,
    );
  });

  it('says why there is none', () => {
    expect(scriptOf({ drive: 'stages' })).toMatch(/^Stages change the rate/);
    expect(scriptOf({ lifetime: '5s' })).toMatch(/^A lifetime closes/);
    expect(scriptOf({ verify: 'exact', ignore: 'json:type=tick' })).toMatch(/^A user’s frames are/);
    expect(scriptOf({ scenario: 'chat.py' })).toBe('It is one already: chat.py.');
    expect(scriptOf({ count: 'many' })).toBe('There is something wrong with the plan’s count.');
  });

  it('takes templates apart as the generator does', () => {
    expect(splitTemplate('{conn}-{seq}')).toEqual(['', 'conn', '-', 'seq', '']);
    expect(splitTemplate('{"a":{"b":{seq}}}')).toEqual(['{"a":{"b":', 'seq', '}}']);
    expect(splitTemplate('{{seq}} {nobody}')).toEqual(['{seq} {nobody}']);
  });
});
