import type { Automation } from '../../lib/automation';
import { Automaton } from './automaton';
import { OneShotSocket } from './one-shot-socket';
import { PlanRunner } from './plan-runner';
import type { Outgoing, SendPlan } from '../../lib/send-plan';
import type { SocketReport, SocketRequest } from './socket-thread';

/** The thread's side: holds one socket, does what is requested of it and reports what happens. */
export function serveSocket(
  report: (report: SocketReport) => void,
): (request: SocketRequest) => void {
  let socket: OneShotSocket | undefined;
  let plan: PlanRunner | undefined;
  let automaton: Automaton | undefined;
  let now = () => performance.now();

  const open = (url: string, subprotocols: readonly string[], clockOriginMs: number) => {
    const aheadMs = performance.timeOrigin - clockOriginMs;
    now = () => performance.now() + aheadMs;
    try {
      socket = new OneShotSocket(url, subprotocols, now, {
        onOpen: (atMs, handshakeMs, agreed) => {
          report({ type: 'opened', atMs, handshakeMs, ...agreed });
          automaton?.opened();
        },
        onMessage: (data, atMs) => {
          report({ type: 'received', data, atMs });
          automaton?.received(data);
        },
        onClose: (close, atMs) => {
          plan?.stop();
          automaton?.closed();
          report({ type: 'closed', report: close, atMs });
        },
      });
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      report({ type: 'refused', problem: `The browser refuses this address: ${cause}` });
    }
  };

  const send = (ticket: number, data: Outgoing) => {
    const atMs = socket?.send(data) ?? null;
    report(atMs === null ? { type: 'unsent', ticket } : { type: 'sent', ticket, atMs });
  };

  const start = (planId: number, wanted: SendPlan) => {
    plan?.stop();
    const started = new PlanRunner(wanted, {
      now,
      send: (data, lateMs) => {
        const atMs = socket?.send(data) ?? null;
        if (atMs !== null) report({ type: 'planned', planId, data, atMs, lateMs });
        return atMs !== null;
      },
      onEnd: (why) => {
        plan = undefined;
        report({ type: 'planEnded', planId, why });
      },
    });
    plan = started.isOver ? undefined : started;
  };

  const automate = (automation: Automation) =>
    new Automaton(automation, {
      now,
      send: (data, by) => {
        const atMs = socket?.send(data) ?? null;
        if (atMs !== null) report({ type: 'automatic', data, atMs, by });
        return atMs !== null;
      },
      onRuleStopped: (rule, replies) => {
        report({ type: 'ruleStopped', rule, replies, atMs: now() });
      },
    });

  return (request) => {
    switch (request.type) {
      case 'open':
        open(request.url, request.subprotocols, request.clockOriginMs);
        if (request.automation !== undefined) automaton = automate(request.automation);
        break;
      case 'send':
        send(request.ticket, request.data);
        break;
      case 'start':
        start(request.planId, request.plan);
        break;
      case 'stop':
        plan?.stop();
        break;
      case 'close':
        socket?.close(request.code, request.reason);
        break;
      case 'console':
        break;
    }
  };
}
