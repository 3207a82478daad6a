// How long the import alone takes.
const cpu = process.cpuUsage();
const start = performance.now();
await import("mitogen");
const value = performance.now() - start;
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ value, cpu: (user + system) / 1000 }));
