/**
 * The composition root: builds every part from a configuration, connects them, and takes them down in the reverse order.
 * No logic of its own.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Configuration } from "./cli/configuration.ts";
import { launch, type Launched } from "./cli/launch.ts";
import { becomeServerUser, raisePriority } from "./cli/privileges.ts";
import { AccessControl } from "./iam/access-control.ts";
import { answerWhy } from "./iam/why.ts";
import { CredentialStore, type AccessKey } from "./iam/credentials.ts";
import { Directory } from "./iam/directory/directory.ts";
import { createDefaultRole } from "./iam/first-start.ts";
import { KeyUsage } from "./iam/key-usage.ts";
import { BusyPoll } from "./kernel/busy-poll.ts";
import { systemClock } from "./kernel/clock.ts";
import { newHexId } from "./kernel/ids.ts";
import { DURABLE_RUNNING_MAX, EVENTS_RUNNING_MAX, SCALING_MS } from "./limits.ts";
import { Artefacts } from "./lambda/artefacts/artefacts.ts";
import { createControl } from "./lambda/control/control.ts";
import { createRoleChecker } from "./lambda/control/role-checker.ts";
import { CODE_PATH_PREFIX } from "./lambda/control/code-url.ts";
import { DurableRunner } from "./lambda/durable/durable-runner.ts";
import { DurableExecutions } from "./lambda/durable/executions.ts";
import { durableOperations } from "./lambda/durable/operations.ts";
import { RuntimeApi } from "./lambda/environment/runtime-api.ts";
import { AsynchronousQueue } from "./lambda/invoke/asynchronous/asynchronous.ts";
import { functionAlarmAction } from "./lambda/invoke/asynchronous/alarm-action.ts";
import { LambdaTarget } from "./lambda/invoke/asynchronous/lambda-target.ts";
import { Destinations } from "./lambda/invoke/destinations.ts";
import { createInvokeAsync } from "./lambda/invoke/invoke-async.ts";
import { createInvoke } from "./lambda/invoke/invoke.ts";
import { createInvokeStreamed } from "./lambda/invoke/invoke-streamed.ts";
import { MeasuredRunner } from "./lambda/invoke/measured-runner.ts";
import { PollingRunner } from "./lambda/invoke/polling-runner.ts";
import { createMeter } from "./lambda/metering/meter.ts";
import { availableMemoryBytes, KeepAlive } from "./lambda/placement/keep-alive.ts";
import { Occupier } from "./lambda/placement/occupier.ts";
import { Placement } from "./lambda/placement/placement.ts";
import { WarmPool } from "./lambda/placement/warm-pool.ts";
import type { SandboxDriver } from "./lambda/sandbox/sandbox.ts";
import { signingProfilesFolder, SigningProfiles } from "./lambda/signing/profiles.ts";
import { createUrlRoute } from "./lambda/urls/url-route.ts";
import { createCloudWatch } from "./services/cloudwatch/cloudwatch.ts";
import { PROMETHEUS_CONTENT_TYPE } from "./services/cloudwatch/prometheus.ts";
import { serverFamilies } from "./services/cloudwatch/server-families.ts";
import { createIam } from "./services/iam/iam.ts";
import { createLogs } from "./services/logs/logs.ts";
import { keySetFetcher } from "./services/sts/key-set-fetcher.ts";
import { createSts } from "./services/sts/sts.ts";
import { openFileBlobStore } from "./store/blobs/file-blobs.ts";
import { openSqliteStore } from "./store/sqlite/sqlite-store.ts";
import type { Logger } from "./telemetry/logger.ts";
import { Dispatcher } from "./wire/dispatch.ts";
import { endpointUrl } from "./wire/endpoint-url.ts";
import { Listener } from "./wire/listener.ts";
import { createProtocols } from "./wire/protocols.ts";
import { BodyReader } from "./wire/read-body.ts";
import { healthRoute, rootRoute, wireRoute } from "./wire/routes.ts";
import { SignatureVerifier } from "./wire/sigv4.ts";

export interface RunningServer {
  /** `http://127.0.0.1:4566` */
  readonly endpoint: string;
  readonly rootKey: AccessKey;
  readonly driver: SandboxDriver;
  /** Resolves when everything is down: nothing of the server is left but its data. Idempotent. */
  close(): Promise<void>;
}

/** An idle environment gives way when the machine has less than this left. */
const MEMORY_RESERVE_BYTES = 512 * 1024 * 1024;
/** Its credentials live twice as long. */
const ENVIRONMENT_AGE_MS_MAX = 12 * 60 * 60_000;
const POOL_TOTAL_MAX = 200;

export async function startServer(
  configuration: Configuration,
  logger: Logger,
  { codeDirectory, runtimes, choosing }: Launched = launch(configuration, logger),
): Promise<RunningServer> {
  const { dataDirectory, region, accountId } = configuration;
  const clock = systemClock;
  const closers: (() => Promise<void> | void)[] = [];
  const close = async () => {
    for (let next = closers.pop(); next; next = closers.pop()) await next();
  };
  try {
    closers.push(() => closeOpened(choosing.then((chosen) => chosen.driver)));
    raisePriority();
    // The spawner has been started and boots while the store opens, which is the server's user's.
    becomeServerUser(dataDirectory);
    const opening = openSqliteStore({ directory: dataDirectory, clock, port: configuration.port });
    const openingBlobs = openFileBlobStore({ directory: codeDirectory, clock });
    closers.push(
      () => closeOpened(opening),
      () => closeOpened(openingBlobs),
    );
    // When the folder is another server's, that is the reason to tell, whatever the spawner stumbled over because of it.
    const chosen = choosing.catch((error: unknown) => opening.then(() => Promise.reject(error)));
    const [{ driver, network }, store, blobs] = await Promise.all([chosen, opening, openingBlobs]);
    const [{ credentials }, identities, keyUsage, logs, meter, cloudwatch] = await Promise.all([
      CredentialStore.open(store, { accountId, clock }),
      Directory.open(store, { accountId, clock }),
      KeyUsage.open(store, clock, (error) => logger.warn("cannot note when a key was used", { error })),
      createLogs({ directory: join(dataDirectory, "logs"), store, clock, region, accountId, logger }),
      createMeter({ directory: join(dataDirectory, "meter"), store, clock, logger }),
      createCloudWatch({ store, clock, logger, region, accountId }),
    ]);
    closers.push(
      () => credentials.close(),
      () => identities.close(),
      () => keyUsage.close(),
      () => cloudwatch.close(),
      () => meter.close(),
      () => logs.close(),
    );
    logs.observe(cloudwatch.embedded);
    const rootKey = credentials.rootAccessKey();
    await createDefaultRole(store, identities);
    const access = new AccessControl({ directory: identities, clock, region, keyUsage });

    let lastId = 0;
    const instance = newHexId(4);
    const nextId = () => `${instance}-${(lastId += 1)}`;
    const codeFolder = (sha256Hex: string) => blobs.unpack(sha256Hex);
    const artefacts = await Artefacts.open({
      directory: join(codeDirectory, "artefacts"),
      driver,
      runtimes,
      codeFolder,
      region,
      clock,
      logger,
      sink: logs.sink,
      nextId,
    });
    closers.push(() => artefacts.close());
    const control = await createControl({
      store,
      blobs,
      runtimes,
      preparer: artefacts,
      clock,
      region,
      accountId,
      accountConcurrency: configuration.accountConcurrency,
      // Asked by requests only: there are none before all of this stands.
      provisioning: { provisioned: (arn, version) => placement.provisioned(arn, version) },
      codeUrlSecret: rootKey.secretAccessKey,
      roles: createRoleChecker(access),
      signingProfiles: new SigningProfiles(signingProfilesFolder(dataDirectory)),
      metrics: cloudwatch.sink,
      onSignatureWarning: ({ refused, ...warning }) =>
        logger.warn(
          refused ? "code was refused for its signature" : "code was deployed despite its signature",
          { ...warning },
        ),
      onFault: (error) => logger.error("the control plane could not finish its work", { error }),
    });
    closers.push(() => control.close());
    access.register(control.facts);

    const pool = new WarmPool({
      driver,
      clock,
      logger,
      nextId,
      sizePerKind: configuration.poolSize,
      sizeTotalMax: POOL_TOTAL_MAX,
    });
    closers.push(() => pool.close());
    const runtimeApi = new RuntimeApi();
    if (network.runtimeApi) runtimeApi.attach(network.runtimeApi.handle);
    closers.push(() => runtimeApi.close());
    const occupier = new Occupier({
      driver,
      pool,
      network,
      runtimeApi,
      runtimes,
      codeFolder,
      artefacts,
      credentials: ({ role }, sessionName) =>
        credentials.mintForRole(
          role,
          sessionName,
          2 * ENVIRONMENT_AGE_MS_MAX,
          identities.roleByArn(role)?.roleId,
        ),
      region,
      nextId,
    });
    const placement = new Placement({
      clock,
      logger,
      sink: logs.sink,
      mayLog: ({ role, logging }, stream) => access.roleMayLog(role, logging.group, stream),
      occupier,
      pool,
      region,
      accountConcurrency: configuration.accountConcurrency,
      rates: {
        requestsPerSecond: configuration.requestRate,
        scaling: { burst: configuration.scalingRate, intervalMs: SCALING_MS / configuration.scalingRate },
      },
      keepAlive: new KeepAlive({
        clock,
        ...configuration.keepAlive,
        ageMsMax: ENVIRONMENT_AGE_MS_MAX,
        availableMemoryBytes,
        reserveBytes: MEMORY_RESERVE_BYTES,
      }),
    });
    cloudwatch.observe(() => [...placement.gauges(), durable.gauge()]);
    const busyPoll = new BusyPoll({ clock, maxMs: configuration.busyPollMs, cpus: availableParallelism() });
    const plainRunner = new PollingRunner(new MeasuredRunner(placement, cloudwatch.sink), busyPoll);
    const { directory, asynchronousSettings } = control;
    const half = Math.max(1, Math.floor(configuration.accountConcurrency / 2));
    const durable = new DurableExecutions({
      store,
      clock,
      directory,
      settings: asynchronousSettings,
      runner: plainRunner,
      meter,
      metrics: cloudwatch.sink,
      logger,
      mayInvoke: (role, resource) =>
        configuration.auth === "none" || access.roleMay(role, { action: "lambda:InvokeFunction", resource }),
      runningMax: Math.min(DURABLE_RUNNING_MAX, half),
    });
    const runner = new DurableRunner(plainRunner, durable);
    const destinations = new Destinations(access);
    const asynchronous = new AsynchronousQueue({
      store,
      clock,
      runner,
      directory,
      settings: asynchronousSettings,
      destinations,
      meter,
      metrics: cloudwatch.sink,
      logger,
      retryDelayMs: configuration.asyncRetryDelayMs,
      eventsMax: configuration.asyncEventsMax,
      runningMax: Math.min(EVENTS_RUNNING_MAX, half),
    });
    cloudwatch.registerAction(
      "lambda",
      functionAlarmAction({ directory, queue: asynchronous, access, clock, accountId }),
    );
    destinations.register(
      "lambda",
      new LambdaTarget({ directory, settings: asynchronousSettings, queue: asynchronous }),
    );
    // In the reverse order: nothing new runs, what runs ends, and its end is put down.
    closers.push(
      () => durable.close(),
      () => asynchronous.close(),
      () => placement.close(configuration.drainMs),
      () => asynchronous.stop(),
      () => durable.stop(),
    );
    control.directory.subscribe(({ kind, functionArn, version, revisionId }) => {
      placement.retire(functionArn, version, kind === "deleted" ? undefined : revisionId);
      // Its first invocation finds a waiting sandbox; what a restart finds again is expected when it is first invoked.
      if (kind === "changed") placement.expect(control.directory.resolve(functionArn, version));
    });
    control.concurrency.subscribe((concurrency) => placement.configure(concurrency));
    await durable.open();
    await asynchronous.open();
    const invoke = createInvoke({
      directory,
      runner,
      meter,
      asynchronous,
      durable,
      clock,
    });

    const invokeStreamed = createInvokeStreamed({ directory, runner, meter, clock });
    const invokeAsync = createInvokeAsync({ directory, asynchronous, clock });

    const services = [
      {
        model: "lambda",
        operations: {
          ...control.operations,
          ...invoke,
          ...invokeStreamed,
          ...invokeAsync,
          ...durableOperations({ executions: durable, directory, settings: asynchronousSettings, clock }),
        },
      },
      logs.service,
      cloudwatch.service,
      createIam({ directory: identities, credentials, keyUsage, access }),
      createSts({ credentials, directory: identities, access, clock, accountId, keySets: keySetFetcher }),
    ];
    const verifier = new SignatureVerifier({ credentials, clock });
    const bodies = new BodyReader();
    const urlRoute = createUrlRoute({
      metrics: cloudwatch.sink,
      urls: control.urls,
      directory,
      runner,
      meter,
      access,
      verifier,
      bodies,
      clock,
      auth: configuration.auth,
    });
    const dispatcher = new Dispatcher({
      protocols: createProtocols(services.map(({ model }) => model)),
      services,
      verifier,
      authorizer: access,
      logger,
      region,
      accountId,
      auth: configuration.auth,
      bodies,
      routes: [
        urlRoute,
        healthRoute,
        wireRoute(CODE_PATH_PREFIX, (path, query) => control.downloadCode(path, query)),
        rootRoute({
          prefix: "/_hornero/iam/why",
          verifier,
          auth: configuration.auth,
          answer: (query) => Promise.resolve(answerWhy(access, query)),
        }),
        rootRoute({
          prefix: "/_hornero/metrics",
          verifier,
          auth: configuration.auth,
          contentType: PROMETHEUS_CONTENT_TYPE,
          answer: () =>
            Promise.resolve(
              cloudwatch.prometheus(
                serverFamilies({
                  environments: placement.states(),
                  running: placement.concurrency,
                  accountConcurrency: configuration.accountConcurrency,
                  pool: pool.sizes(),
                  queued: asynchronous.depths(),
                  queueRunning: asynchronous.running,
                }),
              ),
            ),
        }),
        rootRoute({
          prefix: "/_hornero/bill",
          verifier,
          auth: configuration.auth,
          answer: (query) => meter.bill({ month: query.get("month") ?? monthOf(clock.nowMs()) }),
        }),
      ],
    });
    const listener = new Listener({
      handle: (request, response, expectsContinue) => {
        busyPoll.requested();
        dispatcher.handle(request, response, expectsContinue);
      },
      clock,
      logger,
      loopbackOnly: configuration.auth === "none",
    });
    closers.push(() => listener.close(configuration.drainMs));
    if (network.endpoint) listener.attach(network.endpoint.handle);
    driver.onNetwork?.((renewed) => {
      if (renewed.runtimeApi) runtimeApi.attach(renewed.runtimeApi.handle);
      if (renewed.endpoint) listener.attach(renewed.endpoint.handle);
    });
    const { port } = await listener.listen(configuration.port, configuration.host);
    return { endpoint: endpointUrl(configuration.host, port), rootKey, driver, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Closes what is being opened, when it is; what could not be opened has told so to whoever awaits it. */
async function closeOpened(opening: Promise<{ close(): Promise<void> }>): Promise<void> {
  const opened = await opening.catch(() => undefined);
  await opened?.close();
}

/** `2026-11`, UTC. */
function monthOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 7);
}
